//! Records of logs for a collector of OpenTelemetry: OTLP over HTTP, in its binary form.
//!
//! Not by the project's SDK: that has a queue of its own which gives up what does not fit,
//! and nobody is told which record a collector has taken. Its messages are used as they are.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use reqwest::header::HeaderMap;

use super::http::{Endpoint, Outcome};
use super::select::Parcel;
use crate::reserved::VERDICT_TYPE;
use crate::verdict::Decision;

const PROTOBUF: &str = "application/x-protobuf";

/// What a collector is told of an entry: nothing of the event itself.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub sequence: u64,
    /// In microseconds since 1970.
    pub arrived: i64,
    pub verdict: Decision,
    /// Those that were asked.
    pub policies: Vec<String>,
    /// Those that found something, each as `POLICY RULE`.
    pub rules: Vec<String>,
}

#[derive(Debug)]
pub(super) struct OtlpLogs {
    pub endpoint: Endpoint,
    /// Name of the log.
    pub log: String,
}

impl OtlpLogs {
    /// Tells some of them, in one request.
    pub async fn tell(&self, parcels: &[Parcel]) -> Outcome {
        let records = parcels.iter().filter_map(|parcel| parcel.record.as_deref()).map(Record::message);
        let body = request(&self.log, records.collect()).encode_to_vec();
        match self.endpoint.post(PROTOBUF, HeaderMap::new(), body).await {
            Ok(answer) => match answer.outcome() {
                Outcome::Taken { .. } => Outcome::Taken { rejected: rejected(&answer.body) },
                other => other,
            },
            Err(outcome) => outcome,
        }
    }
}

/// Records that a collector says it did not take, of those that it has: they are not to be
/// sent again (OTLP 1.9, "Partial Success").
fn rejected(body: &[u8]) -> u64 {
    let response = ExportLogsServiceResponse::decode(body).ok();
    let partial = response.and_then(|response| response.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected_log_records).ok()).unwrap_or_default()
}

fn request(log: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![text("service.name", "ephor"), text("service.version", version), text("service.instance.id", log)];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope = Some(InstrumentationScope { name: "ephor.verdicts".into(), version: version.into(), ..InstrumentationScope::default() });
    let scope_logs = vec![ScopeLogs { scope, log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }
}

impl Record {
    fn message(&self) -> LogRecord {
        let nanos = u64::try_from(self.arrived).unwrap_or_default().saturating_mul(1_000);
        let severity = severity(self.verdict);
        let sequence = Value::IntValue(i64::try_from(self.sequence).unwrap_or(i64::MAX));
        LogRecord {
            time_unix_nano: nanos,
            observed_time_unix_nano: nanos,
            severity_number: severity.into(),
            severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").into(),
            event_name: VERDICT_TYPE.into(),
            body: Some(AnyValue { value: Some(Value::StringValue(self.verdict.name().into())) }),
            attributes: vec![
                attribute("ephor.sequence", sequence),
                text("ephor.verdict", self.verdict.name()),
                texts("ephor.policies", &self.policies),
                texts("ephor.rules", &self.rules),
            ],
            ..LogRecord::default()
        }
    }
}

/// What nobody could judge is for whoever runs the policies; the rest is what they are for.
fn severity(verdict: Decision) -> SeverityNumber {
    match verdict {
        Decision::Allow => SeverityNumber::Info,
        Decision::Flag => SeverityNumber::Warn,
        Decision::Deny => SeverityNumber::Warn2,
        Decision::Undetermined => SeverityNumber::Error,
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn texts(key: &str, values: &[String]) -> KeyValue {
    let values = values.iter().map(|value| AnyValue { value: Some(Value::StringValue(value.clone())) });
    attribute(key, Value::ArrayValue(ArrayValue { values: values.collect() }))
}
