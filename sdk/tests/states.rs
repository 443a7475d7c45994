//! States as the host keeps them, and windows over events that come in any order.

use std::time::Duration;

use ephor_sdk::prelude::*;
use ephor_sdk::state::{Count, Counter, Distinct, LastSeen, Rate, Sliding, Sum, Tumbling};

const HOUR: Duration = Duration::from_secs(3_600);

#[state]
struct Everything {
    counter: Counter,
    sum: Sum,
    names: Distinct<String>,
    last: LastSeen<String>,
    days: Tumbling<Counter>,
    events: Sliding<i64>,
    rate: Rate,
    number: Option<f64>,
}

const fn minute(minute: i64) -> Time {
    Time(1_772_107_200_000_000 + minute * 60_000_000)
}

/// Minutes of three hours in an order that is none, and the same every time.
fn shuffled() -> Vec<i64> {
    let mut minutes: Vec<i64> = (0..180).collect();
    let mut random = 7_u64;
    for at in (1..minutes.len()).rev() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        minutes.swap(at, (random >> 33) as usize % (at + 1));
    }
    minutes
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let mut state = Everything::default();
    assert_eq!(state.encode(), None);
    state.counter.count();
    assert_eq!(state.sum.add(-3), Ok(-3));
    state.names.see("veo", 1);
    state.names.see("spin", 1);
    state.last.see(minute(3), "here".into());
    for at in [3, 1, 65, 2] {
        let _ = state.days.at(minute(at), HOUR, 3).map(Counter::count);
        state.events.add(minute(at), at, HOUR, 10);
        state.rate.count(minute(at), HOUR, 6);
    }
    state.number = Some(-0.1);
    let bytes = state.encode().expect("it is not the default");
    assert!(Everything::decode(&bytes).expect("a good state") == state);
    assert!(bytes.len() < 90, "{} bytes", bytes.len());

    let refused = |bytes: &[u8]| Everything::decode(bytes).err().unwrap_or_default();
    assert_eq!(refused(b""), refused(&[bytes[0] ^ 1]));
    assert!(refused(b"").starts_with("it has another shape"));
    assert_eq!(refused(&[bytes.as_slice(), b"\0"].concat()), "there are bytes behind its end");
    assert!(!refused(&bytes[..bytes.len() - 1]).is_empty());
}

/// The same members, with another name for one, or in another order.
#[test]
fn a_struct_does_not_read_the_states_of_another() {
    mod before {
        #[ephor_sdk::state]
        pub(crate) struct Fleet {
            pub(crate) parked: u64,
            pub(crate) moving: u64,
        }
    }
    mod after {
        #[ephor_sdk::state]
        pub(crate) struct Fleet {
            pub(crate) moving: u64,
            pub(crate) parked: u64,
        }
    }
    let bytes = before::Fleet { parked: 300, moving: 1 }.encode().expect("it is not the default");
    assert_eq!(bytes.len(), 4);
    assert!(before::Fleet::decode(&bytes).is_ok_and(|fleet| (fleet.parked, fleet.moving) == (300, 1)));
    assert!(after::Fleet::decode(&bytes).is_err());
}

#[test]
fn a_tumbling_window_counts_events_in_any_order() {
    let mut hours = Tumbling::<Counter>::default();
    for at in shuffled() {
        hours.at(minute(at), HOUR, 4).expect("the hour is kept").count();
    }
    let counted: Vec<_> = hours.iter().map(|(begin, hour)| (begin, hour.get())).collect();
    assert_eq!(counted, [(minute(0), 60), (minute(60), 60), (minute(120), 60)]);

    // Of fewer than there were none that was dropped comes back, not even empty.
    let mut hours = Tumbling::<Counter>::default();
    for at in [0, 60, 120] {
        hours.at(minute(at), HOUR, 2).expect("the latest is kept").count();
    }
    assert!(hours.at(minute(0), HOUR, 9).is_none());
    assert!(hours.at(minute(60), HOUR, 9).is_some());
    assert_eq!(hours.get(minute(0)), None);
    // A window that was refused does not come back either.
    let mut hours = Tumbling::<Counter>::default();
    assert!(hours.at(minute(60), HOUR, 2).is_some());
    assert!(hours.at(minute(0), HOUR, 2).is_some());
    assert!(hours.at(minute(-1), HOUR, 2).is_none());
    assert!(hours.at(minute(-1), HOUR, 9).is_none());
    // Of fewer windows the latest stay.
    assert!(hours.at(minute(120), HOUR, 1).is_some());
    assert_eq!(hours.iter().map(|(begin, _)| begin).collect::<Vec<_>>(), [minute(120)]);
}

/// An event from the year 2200 must not end the rule for good.
#[test]
fn windows_outlive_a_wrong_time() {
    let wrong = minute(90_000_000);
    let mut hours = Tumbling::<Counter>::default();
    let mut events = Sliding::<i64>::default();
    let mut rate = Rate::default();
    for at in [minute(0), minute(30), wrong, minute(50), minute(120), minute(170)] {
        assert!(hours.at(at, HOUR, 3).is_some_and(|hour| hour.count() > 0));
        assert!(events.add(at, 1, 2 * HOUR, 9));
        assert!(rate.count(at, HOUR, 6));
    }
    assert_eq!(hours.get(minute(170)).map(|hour| hour.get()), Some(2));
    assert_eq!(events.window(minute(170), HOUR).count(), Count::exactly(2));
    assert_eq!(events.window(minute(80), HOUR).count(), Count::at_least(0));
    assert_eq!(rate.window(minute(170), HOUR), Count::between(1, 2));
}

#[test]
fn a_tumbling_window_of_another_width_begins_behind_all_before() {
    let half = HOUR / 2;
    let mut windows = Tumbling::<Counter>::default();
    assert!(windows.at(minute(70), HOUR, 2).is_some());
    assert!(windows.at(minute(90), half, 2).is_none());
    assert!(windows.at(minute(119), 2 * HOUR, 2).is_none(), "twice in a row");
    assert!(windows.at(minute(120), 2 * HOUR, 2).is_some());
    assert!(windows.at(minute(60), 2 * HOUR, 2).is_none());
    // The same for times before 1970, where numbers are negative.
    let mut windows = Tumbling::<Counter>::default();
    assert!(windows.at(Time(-90_000_000), Duration::from_secs(60), 2).is_some());
    assert!(windows.at(Time(-60_000_001), Duration::from_secs(40), 2).is_none());
    assert!(windows.at(Time(-40_000_000), Duration::from_secs(40), 2).is_some());
}

#[test]
fn a_sliding_window_is_complete_or_says_so() {
    let mut events = Sliding::<i64>::default();
    for at in shuffled() {
        assert!(events.add(minute(at), 1, 3 * HOUR, 200));
    }
    for end in 0..180 {
        let window = events.window(minute(end), HOUR);
        assert_eq!((window.count(), window.sum()), (Count::exactly(60.min(end as u64 + 1)), Some(60.min(end + 1))));
    }

    // Too many: the oldest go, and windows that reach to them say "at least".
    let mut events = Sliding::<i64>::default();
    for at in 0..100 {
        events.add(minute(at), 1, HOUR * 9, 50);
    }
    assert_eq!(events.window(minute(99), Duration::from_secs(50 * 60)).count(), Count::exactly(50));
    assert_eq!(events.window(minute(99), HOUR).count(), Count::at_least(50));
    assert_eq!(events.window(minute(99), HOUR).sum(), None);
    assert!(!events.add(minute(49), 1, HOUR * 9, 50));
    // Of events at one time all go together, because which were which is lost.
    let mut events = Sliding::<()>::default();
    for at in [1, 1, 1, 2] {
        events.add(minute(at), (), HOUR, 3);
    }
    assert_eq!(events.window(minute(2), HOUR).count(), Count::at_least(1));
    assert_eq!(events.window(minute(2), Duration::from_secs(60)).count(), Count::exactly(1));
}

#[test]
fn a_rate_is_never_wrong() {
    for parts in [1, 4, 7, 60] {
        let mut rate = Rate::default();
        let mut counted = Vec::new();
        for at in shuffled() {
            if rate.count(minute(at), HOUR, parts) {
                counted.push(at);
            }
            for end in [at, 59, 100, 179, 200] {
                let count = rate.window(minute(end), HOUR);
                let there = counted.iter().filter(|&&it| it > end - 60 && it <= end).count() as u64;
                assert!(count.least() <= there && count.most().is_none_or(|most| there <= most), "{there} of {count} until {end}");
            }
        }
        let latest = rate.window(minute(179), HOUR);
        let doubt = latest.most().expect("the latest hour is known") - latest.least();
        assert!(doubt <= u64::from(60_u16.div_ceil(parts)), "{latest} in {parts} parts");
    }
    // What was refused, because parts changed, is not taken for nothing.
    let mut rate = Rate::default();
    assert_eq!(rate.window(Time(-1), HOUR), Count::exactly(0));
    assert!(rate.count(minute(0), HOUR, 6));
    assert!(!rate.count(minute(1), HOUR, 12));
    assert_eq!(rate.window(minute(11), HOUR).is_more_than(5), None);
    assert_eq!(rate.window(minute(70), HOUR), Count::exactly(0));
}
