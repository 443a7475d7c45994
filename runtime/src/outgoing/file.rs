//! Lines in a file that does not grow without end: verdicts, and dead letters.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::cursor::sync_folder;

/// Bytes that are looked at together for the end of the last whole line.
const TAIL: u64 = 64 << 10;

/// A file of lines. When it is full it gets the name with `.1` behind it, what had that name
/// the one with `.2`, and so on.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    rotate_bytes: u64,
    files_max: u32,
    /// With its length; nothing before it is opened, and after an error.
    open: Option<(File, u64)>,
}

impl Lines {
    pub fn new(path: PathBuf, rotate_bytes: u64, files_max: u32) -> Self {
        Lines { path, rotate_bytes, files_max, open: None }
    }

    /// Puts lines, each with its `\n`, at the end, durably. After an error none, some or all
    /// of them are there, and none in part once more is written.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.try_write(lines);
        if written.is_err() {
            self.open = None;
        }
        written
    }

    fn try_write(&mut self, lines: &[u8]) -> io::Result<()> {
        let (mut file, mut length) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        if length > 0 && length + lines.len() as u64 > self.rotate_bytes {
            drop(file);
            self.rotate()?;
            (file, length) = open(&self.path)?;
        }
        file.write_all(lines)?;
        file.sync_data()?;
        self.open = Some((file, length + lines.len() as u64));
        Ok(())
    }

    /// Makes room for a new file.
    fn rotate(&self) -> io::Result<()> {
        for number in (0..self.files_max.saturating_sub(1)).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if self.files_max == 1 {
            fs::remove_file(&self.path)?;
        }
        sync_folder(&self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            _ => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number}"));
                name.into()
            }
        }
    }
}

/// Opens a file to write behind its last whole line; makes it if it is not there. What a
/// crash left of a line that was not told goes.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let length = file.metadata()?.len();
    let whole = whole_lines(&mut file, length)?;
    if whole < length {
        file.set_len(whole)?;
    }
    file.seek(SeekFrom::Start(whole))?;
    sync_folder(path)?;
    Ok((file, whole))
}

/// Where the last whole line of a file ends.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(TAIL);
        let mut bytes = vec![0; (end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut bytes)?;
        if let Some(at) = memchr::memrchr(b'\n', &bytes) {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_full_file_gets_a_number_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("verdicts.ndjson");
        let mut lines = Lines::new(path.clone(), 10, 3);
        for number in 1..=9 {
            lines.write(format!("line {number}\n").as_bytes()).expect("written");
        }
        let files = [path, folder.path().join("verdicts.ndjson.1"), folder.path().join("verdicts.ndjson.2")];
        assert_eq!(files.map(|file| read(&file)), ["line 9\n", "line 8\n", "line 7\n"]);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
        let mut only = Lines::new(folder.path().join("one"), 8, 1);
        for line in ["line 1\n", "line 2\n"] {
            only.write(line.as_bytes()).expect("written");
        }
        assert_eq!(read(&folder.path().join("one")), "line 2\n");
        assert!(!folder.path().join("one.1").exists());
    }

    #[test]
    fn what_a_crash_left_of_a_line_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("verdicts.ndjson");
        for (before, after) in [("", ""), ("torn", ""), ("whole\n", "whole\n"), ("whole\ntorn", "whole\n")] {
            fs::write(&path, before).expect("written");
            Lines::new(path.clone(), 1 << 20, 2).write(b"next\n").expect("written");
            assert_eq!(read(&path), format!("{after}next\n"));
        }
        fs::write(&path, format!("whole\n{}", "x".repeat(3 * TAIL as usize))).expect("written");
        Lines::new(path.clone(), 1 << 20, 2).write(b"next\n").expect("written");
        assert_eq!(read(&path), "whole\nnext\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_to_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("later").join("verdicts.ndjson");
        let mut lines = Lines::new(path.clone(), 1 << 20, 2);
        assert!(lines.write(b"one\n").is_err());
        fs::create_dir(folder.path().join("later")).expect("a folder");
        lines.write(b"one\n").expect("written");
        assert_eq!(read(&path), "one\n");
    }
}
