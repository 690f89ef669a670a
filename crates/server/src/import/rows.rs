//! Rows out of a file: CSV or JSON lines, compressed or not, however large, one at a time.
//!
//! The input is first cut into rows, none longer than [`ROW_MAX_BYTES`], and each row is then read by itself: one that
//! cannot be read is a [`Row`] like the others, with what is wrong with it, and the next one is not affected.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use csv::ByteRecord;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// The most bytes of one row. A ticket's own texts have at most 64 KiB each; what is longer is no row of a help desk.
pub(super) const ROW_MAX_BYTES: usize = 1024 * 1024;
/// In JSON lines, so many rows are looked at to learn which fields there are.
const LOOK_AHEAD_MAX_ROWS: usize = 1_000;
/// And at most so many bytes of them.
const LOOK_AHEAD_MAX_BYTES: usize = 4 * ROW_MAX_BYTES;
/// The most fields that are remembered of the rows looked at.
const LOOK_AHEAD_MAX_COLUMNS: usize = 1_000;
/// What a file that is compressed by gzip begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What some programs put before UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values (RFC 4180) with the columns' names in the first row.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// The format that a file's name promises.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        match () {
            () if ends(&[".csv"]) => Some(Self::Csv),
            () if ends(&[".jsonl", ".ndjson"]) => Some(Self::Jsonl),
            () => None,
        }
    }
}

/// What is wrong with a row as a whole, or with one field of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) field: String,
    pub(super) rule: &'static str,
    pub(super) message: String,
}

impl Unreadable {
    fn row(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            field: String::new(),
            rule,
            message: message.into(),
        }
    }
}

/// A row, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Row {
    /// The line that it begins in, from 1.
    pub(super) line: u64,
    /// Its length in the file.
    pub(super) bytes: usize,
    pub(super) content: Result<Content, Unreadable>,
}

/// What a row holds.
#[derive(Debug)]
pub(super) enum Content {
    /// As many fields as the file has columns.
    Fields(ByteRecord),
    /// A JSON object.
    Object(Value),
}

/// Why a file cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system, or the decompression, failed.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// It holds no row at all.
    #[error("the file is empty")]
    Empty,
    /// Its first row does not name its columns.
    #[error("the first line must name the columns: {0}")]
    Header(String),
    /// Everything behind a quotation mark belongs to one field.
    #[error(
        "the quotation mark that opens a field in line {line} is never closed: what follows it was not imported"
    )]
    Unclosed {
        /// The line in which the row with that field begins.
        line: u64,
    },
}

/// Where bytes come from, with a count of those that were read: compressed, as the file holds them.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    /// How many there are, where that is known.
    pub(super) length: Option<u64>,
    pub(super) consumed: Arc<AtomicU64>,
}

struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Input {
    /// A file.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder"));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self {
            length,
            ..Self::of(file)
        })
    }

    /// What comes through the standard input.
    pub(super) fn stdin() -> Self {
        Self::of(io::stdin())
    }

    pub(super) fn of(reader: impl Read + Send + 'static) -> Self {
        let consumed = Arc::new(AtomicU64::new(0));
        let reader = Box::new(Counted(reader, Arc::clone(&consumed)));
        Self {
            reader,
            length: None,
            consumed,
        }
    }
}

/// The first bytes of a reader, up to `count`, and the reader with them put back.
fn peek(mut reader: Box<dyn Read + Send>, count: u64) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut first = Vec::new();
    reader.by_ref().take(count).read_to_end(&mut first)?;
    Ok((first.clone(), Box::new(Cursor::new(first).chain(reader))))
}

/// The bytes of a file: decompressed where it is compressed, and without a byte order mark.
pub(super) fn plain(input: Input) -> io::Result<Box<dyn Read + Send>> {
    let (first, reader) = peek(input.reader, GZIP_MAGIC.len() as u64)?;
    let reader = if first == GZIP_MAGIC {
        Box::new(MultiGzDecoder::new(BufReader::new(reader))) as Box<dyn Read + Send>
    } else {
        reader
    };
    let (first, mut reader) = peek(reader, BYTE_ORDER_MARK.len() as u64)?;
    if first == BYTE_ORDER_MARK {
        reader.read_exact(&mut [0; BYTE_ORDER_MARK.len()])?;
    }
    Ok(reader)
}

/// One piece of the input, between two row ends.
enum Piece {
    /// A row's bytes, without its end.
    Whole,
    /// It has more than [`ROW_MAX_BYTES`], which were thrown away.
    TooLong,
    /// The input ended inside quotation marks.
    Unclosed,
}

/// Cuts the input into rows. Where fields are quoted, a line end in a quoted field ends no row.
struct Cutter {
    input: BufReader<Box<dyn Read + Send>>,
    /// The delimiter of fields, where they may be quoted.
    quoted: Option<u8>,
    /// The line that comes next.
    line: u64,
    /// The last row ended with CR, so that LF belongs to it.
    after_cr: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    InField,
    InQuotes,
    AfterQuote,
}

impl Cutter {
    /// The next row that is not blank, into `row`, and the line in which it begins.
    fn next(&mut self, row: &mut Vec<u8>) -> io::Result<Option<(u64, Piece)>> {
        loop {
            let line = self.line;
            let piece = self.piece(row)?;
            match piece {
                Some(Piece::Whole) if row.iter().all(u8::is_ascii_whitespace) => {}
                Some(piece) => return Ok(Some((line, piece))),
                None => return Ok(None),
            }
        }
    }

    fn piece(&mut self, row: &mut Vec<u8>) -> io::Result<Option<Piece>> {
        row.clear();
        let (mut place, mut bytes) = (Place::FieldStart, 0_usize);
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(match place {
                    Place::InQuotes => Some(Piece::Unclosed),
                    _ if bytes > ROW_MAX_BYTES => Some(Piece::TooLong),
                    _ if bytes > 0 => Some(Piece::Whole),
                    _ => None,
                });
            }
            if std::mem::take(&mut self.after_cr) && buffer[0] == b'\n' {
                self.input.consume(1);
                continue;
            }
            let mut end = None;
            for (index, &byte) in buffer.iter().enumerate() {
                let Some(delimiter) = self.quoted else {
                    if byte == b'\n' {
                        end = Some((index, byte));
                        break;
                    }
                    continue;
                };
                place = match (place, byte) {
                    (Place::InQuotes, b'"') => Place::AfterQuote,
                    (Place::InQuotes, byte) => {
                        self.line += u64::from(byte == b'\n');
                        Place::InQuotes
                    }
                    (_, b'\n' | b'\r') => {
                        end = Some((index, byte));
                        break;
                    }
                    (_, byte) if byte == delimiter => Place::FieldStart,
                    (Place::FieldStart | Place::AfterQuote, b'"') => Place::InQuotes,
                    (Place::FieldStart | Place::InField | Place::AfterQuote, _) => Place::InField,
                };
            }
            let part = &buffer[..end.map_or(buffer.len(), |(index, _)| index)];
            bytes += part.len();
            if bytes <= ROW_MAX_BYTES {
                row.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if let Some((_, byte)) = end {
                self.line += 1;
                self.after_cr = byte == b'\r';
                return Ok(Some(if bytes > ROW_MAX_BYTES {
                    Piece::TooLong
                } else {
                    Piece::Whole
                }));
            }
        }
    }
}

/// Reads the rows of one file.
pub(super) struct RowReader {
    cutter: Cutter,
    format: Format,
    delimiter: u8,
    columns: Vec<String>,
    /// Rows that were looked at already.
    ahead: VecDeque<Row>,
    buffer: Vec<u8>,
}

impl RowReader {
    /// Begins to read: learns the columns, of JSON lines from the first rows.
    pub(super) fn open(input: Input, format: Format, delimiter: u8) -> Result<Self, ReadError> {
        let reader = plain(input)?;
        let quoted = match format {
            Format::Csv => Some(delimiter),
            Format::Jsonl => None,
        };
        let input = BufReader::with_capacity(64 * 1024, reader);
        let cutter = Cutter {
            input,
            quoted,
            line: 1,
            after_cr: false,
        };
        let mut rows = Self {
            cutter,
            format,
            delimiter,
            columns: Vec::new(),
            ahead: VecDeque::new(),
            buffer: Vec::new(),
        };
        match format {
            Format::Csv => rows.read_header()?,
            Format::Jsonl => rows.look_ahead()?,
        }
        Ok(rows)
    }

    /// The names of the fields: of a CSV file all, of JSON lines those of the first rows.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// When nothing more can be read of the file.
    pub(super) fn next(&mut self) -> Result<Option<Row>, ReadError> {
        match self.ahead.pop_front() {
            Some(row) => Ok(Some(row)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<Row>, ReadError> {
        let Some((line, piece)) = self.cutter.next(&mut self.buffer)? else {
            return Ok(None);
        };
        let bytes = self.buffer.len();
        let content = match piece {
            Piece::Unclosed => return Err(ReadError::Unclosed { line }),
            Piece::TooLong => {
                let message = format!("a row must have at most {ROW_MAX_BYTES} bytes");
                Err(Unreadable::row("row_too_long", message))
            }
            Piece::Whole => match self.format {
                Format::Csv => self.fields(),
                Format::Jsonl => object(&self.buffer),
            },
        };
        Ok(Some(Row { line, bytes, content }))
    }

    fn record(&self) -> Result<ByteRecord, csv::Error> {
        // A reader for each row: whatever a row holds, the next one begins afresh.
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .buffer_capacity(self.buffer.len() + 1)
            .from_reader(self.buffer.as_slice());
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record)?;
        Ok(record)
    }

    fn fields(&self) -> Result<Content, Unreadable> {
        let record = self
            .record()
            .map_err(|error| Unreadable::row("bad_csv", error.to_string()))?;
        if record.len() != self.columns.len() {
            let message = format!(
                "has {} fields where the file has {} columns",
                record.len(),
                self.columns.len()
            );
            return Err(Unreadable::row("column_count", message));
        }
        match record
            .iter()
            .zip(&self.columns)
            .find(|(field, _)| std::str::from_utf8(field).is_err())
        {
            Some((_, column)) => Err(Unreadable {
                field: column.clone(),
                rule: "bad_utf8",
                message: "must be UTF-8".to_owned(),
            }),
            None => Ok(Content::Fields(record)),
        }
    }

    fn read_header(&mut self) -> Result<(), ReadError> {
        match self.cutter.next(&mut self.buffer)? {
            Some((_, Piece::Whole)) => {}
            Some((line, Piece::Unclosed)) => return Err(ReadError::Unclosed { line }),
            Some((_, Piece::TooLong)) => {
                return Err(ReadError::Header(format!(
                    "it has more than {ROW_MAX_BYTES} bytes"
                )));
            }
            None => return Err(ReadError::Empty),
        }
        let header = self
            .record()
            .map_err(|error| ReadError::Header(error.to_string()))?;
        for name in &header {
            let name =
                std::str::from_utf8(name).map_err(|_| ReadError::Header("it is not UTF-8".to_owned()))?;
            let name = name.trim().to_owned();
            if !name.is_empty() && self.columns.contains(&name) {
                return Err(ReadError::Header(format!("it names the column {name:?} twice")));
            }
            self.columns.push(name);
        }
        Ok(())
    }

    fn look_ahead(&mut self) -> Result<(), ReadError> {
        let mut bytes = 0;
        while self.ahead.len() < LOOK_AHEAD_MAX_ROWS && bytes < LOOK_AHEAD_MAX_BYTES {
            let Some(row) = self.read()? else { break };
            bytes += row.bytes;
            if let Ok(Content::Object(Value::Object(members))) = &row.content {
                for name in members.keys() {
                    if self.columns.len() < LOOK_AHEAD_MAX_COLUMNS && !self.columns.contains(name) {
                        self.columns.push(name.clone());
                    }
                }
            }
            self.ahead.push_back(row);
        }
        if self.ahead.is_empty() {
            Err(ReadError::Empty)
        } else {
            Ok(())
        }
    }
}

fn object(bytes: &[u8]) -> Result<Content, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::row("bad_utf8", "must be UTF-8"))?;
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(Content::Object(object)),
        Ok(_) => Err(Unreadable::row("bad_json", "must be a JSON object")),
        Err(error) => Err(Unreadable::row(
            "bad_json",
            format!("must be a JSON object ({error})"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, bytes: &[u8]) -> (Vec<String>, Vec<Row>) {
        let mut reader = RowReader::open(Input::of(Cursor::new(bytes.to_vec())), format, b',').unwrap();
        let mut rows = Vec::new();
        while let Some(row) = reader.next().unwrap() {
            rows.push(row);
        }
        (reader.columns().to_vec(), rows)
    }

    /// Each row's line, and its fields or the rule that it breaks.
    fn outline(rows: Vec<Row>) -> Vec<(u64, String)> {
        let content = |row: Row| match row.content {
            Ok(Content::Fields(record)) => record
                .iter()
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .collect::<Vec<_>>()
                .join("|"),
            Ok(Content::Object(object)) => object.to_string(),
            Err(unreadable) => unreadable.rule.to_owned(),
        };
        rows.into_iter().map(|row| (row.line, content(row))).collect()
    }

    fn at(line: u64, content: &str) -> (u64, String) {
        (line, content.to_owned())
    }

    #[test]
    fn lines_are_counted_through_quoted_and_blank_ones_whatever_ends_them() {
        for end in ["\n", "\r\n"] {
            let text =
                "a,b\n1,\"x\ny\"\n\n2,\"say \"\"so\"\"\"\n3,5\" disk\n4,\"q\"r\n5,e".replace('\n', end);
            let (columns, rows) = read(Format::Csv, text.as_bytes());
            assert_eq!(columns, ["a", "b"]);
            let first = format!("1|x{end}y");
            let expected = [
                at(2, &first),
                at(5, "2|say \"so\""),
                at(6, "3|5\" disk"),
                at(7, "4|qr"),
                at(8, "5|e"),
            ];
            assert_eq!(outline(rows), expected);
        }
    }

    #[test]
    fn a_malformed_row_is_no_end() {
        let (_, rows) = read(Format::Csv, b"\xef\xbb\xbf\"a\",b\n1,2\n1\n1,2,3\n\xff,2\n3,4\n");
        let rules = [
            at(2, "1|2"),
            at(3, "column_count"),
            at(4, "column_count"),
            at(5, "bad_utf8"),
            at(6, "3|4"),
        ];
        assert_eq!(outline(rows), rules);
        let (columns, rows) = read(Format::Jsonl, b"{\"a\":1}\r\n{\"a\":\n[1]\n\n\"\xff\"\n{\"b\":2}");
        assert_eq!(columns, ["a", "b"]);
        let rules = [
            at(1, "{\"a\":1}"),
            at(2, "bad_json"),
            at(3, "bad_json"),
            at(5, "bad_utf8"),
            at(6, "{\"b\":2}"),
        ];
        assert_eq!(outline(rows), rules);
    }

    #[test]
    fn a_row_that_is_too_long_is_thrown_away_and_the_next_one_read() {
        let long = "x\n".repeat(ROW_MAX_BYTES / 2 + 1);
        let (_, rows) = read(Format::Csv, format!("a,b\n1,\"{long}\"\n2,3\n").as_bytes());
        let last = 3 + (ROW_MAX_BYTES / 2 + 1) as u64;
        assert_eq!(outline(rows), [at(2, "row_too_long"), at(last, "2|3")]);
        let long = "x".repeat(ROW_MAX_BYTES);
        let (_, rows) = read(
            Format::Jsonl,
            format!("{{\"a\":\"{long}\"}}\n{{\"a\":1}}\n").as_bytes(),
        );
        assert_eq!(outline(rows), [at(1, "row_too_long"), at(2, "{\"a\":1}")]);
    }

    #[test]
    fn a_quotation_mark_that_is_never_closed_ends_the_file_with_its_line() {
        let input = Input::of(Cursor::new(b"a\n1\n\"x\n2\n".to_vec()));
        let mut reader = RowReader::open(input, Format::Csv, b',').unwrap();
        assert_eq!(reader.next().unwrap().unwrap().line, 2);
        assert!(matches!(reader.next(), Err(ReadError::Unclosed { line: 3 })));
    }

    #[test]
    fn what_is_compressed_is_known_by_its_first_bytes() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\n1\n").unwrap();
        let (_, rows) = read(Format::Csv, &gzip.finish().unwrap());
        assert_eq!(outline(rows), [at(2, "1")]);
    }

    #[test]
    fn an_empty_file_and_a_header_that_names_a_column_twice_are_refused() {
        let open = |bytes: &'static [u8]| RowReader::open(Input::of(bytes), Format::Csv, b',').map(|_| ());
        assert!(matches!(open(b""), Err(ReadError::Empty)));
        assert!(matches!(open(b"a,a\n"), Err(ReadError::Header(_))));
    }
}
