//! Records out of JSON of any size, one at a time.
//!
//! Exports come as an API's pages (`{"tickets": [...], "count": 7}`, also several of them one behind another), as bare
//! lists, as single objects and as lines of objects. The input is first cut into values by counting brackets, and each
//! is then read by itself: one that cannot be read is a record like the others, with what is wrong with it.

use std::io::{self, ErrorKind, Read};

use serde_json::{Map, Value};

use super::super::rows::Unreadable;

/// The most bytes of one record.
pub(super) const RECORD_MAX_BYTES: usize = 16 * 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;
/// What a page's own facts are called, such as the names of columns.
pub(super) const ENVELOPE: &str = "envelope";

/// A record, or why it cannot be read.
#[derive(Debug)]
pub(super) struct JsonRecord {
    /// The name of the list that it stands in; nothing where the file has no name for it.
    pub(super) list: Option<String>,
    pub(super) content: Result<Map<String, Value>, Unreadable>,
}

/// Where in the file the reader stands.
enum Place {
    /// Between values.
    Top,
    /// In a list, which may stand in an object.
    List { name: Option<String>, is_wrapped: bool },
    /// In a page's object, behind a list.
    Page,
}

/// Reads the records of one file.
pub(super) struct JsonRecords {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at: usize,
    place: Place,
    /// Which members of an object are lists of records.
    is_list: Box<dyn Fn(&str) -> bool + Send>,
    /// Whether records are read, or merely found.
    parses: bool,
}

/// Bytes of one value.
struct Cut {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Cut {
    fn push(&mut self, byte: u8) {
        if self.bytes.len() < RECORD_MAX_BYTES {
            self.bytes.push(byte);
        } else {
            self.is_too_long = true;
        }
    }

    fn read(self, list: Option<String>) -> JsonRecord {
        let Self { bytes, is_too_long } = self;
        let refused = |rule, message: String| Unreadable {
            field: String::new(),
            rule,
            message,
        };
        let content = if is_too_long {
            let message = format!("a record must have at most {RECORD_MAX_BYTES} bytes");
            Err(refused("record_too_long", message))
        } else {
            match serde_json::from_slice(&bytes) {
                Ok(Value::Object(map)) => Ok(map),
                Ok(_) => Err(refused("bad_json", "must be a JSON object".to_owned())),
                Err(error) => Err(refused("bad_json", format!("must be a JSON object ({error})"))),
            }
        };
        JsonRecord { list, content }
    }
}

impl JsonRecords {
    /// Begins to read; `is_list` says which members of an object are lists of records rather than of its own.
    pub(super) fn new(input: Box<dyn Read + Send>, is_list: impl Fn(&str) -> bool + Send + 'static) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            at: 0,
            place: Place::Top,
            is_list: Box::new(is_list),
            parses: true,
        }
    }

    /// The same, but that records are merely found: each is empty.
    pub(super) fn unparsed(self) -> Self {
        Self {
            parses: false,
            ..self
        }
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// When nothing more can be read of the file: it ends in the middle of a value, or is no JSON.
    pub(super) fn next(&mut self) -> io::Result<Option<JsonRecord>> {
        loop {
            match std::mem::replace(&mut self.place, Place::Top) {
                Place::Top => match self.significant()? {
                    None => return Ok(None),
                    Some(b'[') => {
                        self.place = Place::List {
                            name: None,
                            is_wrapped: false,
                        };
                    }
                    Some(b'{') => return self.object().map(Some),
                    Some(_) => return Err(no_json("begins with neither { nor [")),
                },
                Place::List { name, is_wrapped } => match self.significant()? {
                    None => return Err(ErrorKind::UnexpectedEof.into()),
                    Some(b']') if is_wrapped => self.place = Place::Page,
                    Some(b']') => {}
                    Some(first) => {
                        let mut cut = new_cut();
                        self.value(first, &mut cut)?;
                        let list = name.clone();
                        self.place = Place::List { name, is_wrapped };
                        return Ok(Some(self.record(cut, list)));
                    }
                },
                Place::Page => match self.significant()? {
                    None => return Err(ErrorKind::UnexpectedEof.into()),
                    Some(b'}') => {}
                    Some(b'"') => {
                        let (name, first) = self.member()?;
                        if first == b'[' && (self.is_list)(&name) {
                            let is_wrapped = true;
                            self.place = Place::List {
                                name: Some(name),
                                is_wrapped,
                            };
                        } else {
                            self.value(first, &mut new_cut())?;
                            self.place = Place::Page;
                        }
                    }
                    Some(_) => return Err(no_json("has an object without members' names")),
                },
            }
        }
    }

    /// An object outside of any list: a record by itself, or a page, whose own facts so far are then given.
    fn object(&mut self) -> io::Result<JsonRecord> {
        let mut cut = new_cut();
        cut.push(b'{');
        let (mut is_first, mut has_id) = (true, false);
        loop {
            match self.significant()? {
                None => return Err(ErrorKind::UnexpectedEof.into()),
                Some(b'}') => {
                    cut.push(b'}');
                    return Ok(self.record(cut, None));
                }
                Some(b'"') => {
                    let (name, first) = self.member()?;
                    // What has an id is a record, and its lists are its own.
                    if first == b'[' && !has_id && (self.is_list)(&name) {
                        self.place = Place::List {
                            name: Some(name),
                            is_wrapped: true,
                        };
                        cut.push(b'}');
                        return Ok(self.record(cut, Some(ENVELOPE.to_owned())));
                    }
                    has_id |= name == "id";
                    if !std::mem::take(&mut is_first) {
                        cut.push(b',');
                    }
                    let name = Value::from(name).to_string();
                    name.bytes().chain([b':']).for_each(|byte| cut.push(byte));
                    self.value(first, &mut cut)?;
                }
                Some(_) => return Err(no_json("has an object without members' names")),
            }
        }
    }

    fn record(&self, cut: Cut, list: Option<String>) -> JsonRecord {
        if self.parses {
            return cut.read(list);
        }
        let content = Ok(Map::new());
        JsonRecord { list, content }
    }

    /// A member's name, whose quotation mark was read, and the first byte of its value.
    fn member(&mut self) -> io::Result<(String, u8)> {
        let mut name = new_cut();
        self.value(b'"', &mut name)?;
        let name = serde_json::from_slice(&name.bytes).map_err(|_| no_json("has a name that is no text"))?;
        match (self.significant()?, self.significant()?) {
            (Some(b':'), Some(first)) => Ok((name, first)),
            (None, _) | (_, None) => Err(ErrorKind::UnexpectedEof.into()),
            (Some(_), Some(_)) => Err(no_json("has a member without a colon")),
        }
    }

    /// Cuts the value that begins with `first`.
    fn value(&mut self, first: u8, cut: &mut Cut) -> io::Result<()> {
        let (mut depth, mut in_text, mut escaped, mut byte) = (0_u64, false, false, first);
        loop {
            cut.push(byte);
            if in_text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_text = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => in_text = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            let is_bare = !in_text && depth == 0 && !matches!(byte, b'"' | b'}' | b']');
            if is_bare {
                // A number or a word ends where something else begins.
                match self.peek()? {
                    None | Some(b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n') => return Ok(()),
                    Some(_) => {}
                }
            } else if !in_text && depth == 0 {
                return Ok(());
            }
            byte = self.byte()?.ok_or(ErrorKind::UnexpectedEof)?;
        }
    }

    /// The next byte that is neither white space nor a comma.
    fn significant(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.byte()? {
                Some(byte) if byte.is_ascii_whitespace() || byte == b',' => {}
                other => return Ok(other),
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.buffer.len() {
            self.buffer.resize(BUFFER_BYTES, 0);
            self.at = 0;
            let read = loop {
                match self.input.read(&mut self.buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            // Also when it fails, nothing of the buffer is taken for input.
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        Ok(self.buffer.get(self.at).copied())
    }
}

fn new_cut() -> Cut {
    Cut {
        bytes: Vec::new(),
        is_too_long: false,
    }
}

fn no_json(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("it is no JSON: it {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, ErrorKind> {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut records = JsonRecords::new(input, |name| matches!(name, "tickets" | "users" | "tags"));
        let mut all = Vec::new();
        while let Some(record) = records.next().map_err(|error| error.kind())? {
            let content = match record.content {
                Ok(map) => Value::Object(map).to_string(),
                Err(unreadable) => unreadable.rule.to_owned(),
            };
            all.push((record.list.unwrap_or_default(), content));
        }
        Ok(all)
    }

    fn list(items: &[(&str, &str)]) -> Vec<(String, String)> {
        items
            .iter()
            .map(|(list, content)| ((*list).to_owned(), (*content).to_owned()))
            .collect()
    }

    #[test]
    fn pages_lists_single_objects_and_lines_are_read_alike() {
        let one = r#"{"id":1}"#;
        assert_eq!(read("[{\"id\":1}, {\"id\":1}]").unwrap(), list(&[("", one); 2]));
        assert_eq!(read("{\"id\":1}\n{\"id\":1}\n").unwrap(), list(&[("", one); 2]));
        assert_eq!(read(" {\"id\": 1 } ").unwrap(), list(&[("", one)]));
        let page =
            r#"{"head":{"a":"x"},"tickets":[{"id":1},{"id":1}],"count":2,"users":[{"id":1}],"end":null}"#;
        let of_page = [
            (ENVELOPE, r#"{"head":{"a":"x"}}"#),
            ("tickets", one),
            ("tickets", one),
            ("users", one),
        ];
        assert_eq!(read(page).unwrap(), list(&of_page));
        let twice = [of_page, of_page].concat();
        assert_eq!(read(&format!("{page}\n{page}")).unwrap(), list(&twice));
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn a_records_own_lists_are_not_taken_for_pages() {
        let ticket = r#"{"id":1,"tags":["a"],"text":"\"]} \\"}"#;
        assert_eq!(read(ticket).unwrap(), list(&[("", ticket)]));
    }

    #[test]
    fn what_is_no_object_is_told_and_the_next_is_read() {
        let read = read(r#"{"tickets":[1,"x]",{"id":,},{"id":1},null]}"#).unwrap();
        let rules: Vec<&str> = read.iter().map(|(_, content)| content.as_str()).collect();
        assert_eq!(
            rules,
            ["{}", "bad_json", "bad_json", "bad_json", "{\"id\":1}", "bad_json"]
        );
    }

    #[test]
    fn a_record_that_is_too_long_is_thrown_away_and_the_next_one_read() {
        let long = "x".repeat(RECORD_MAX_BYTES);
        let read = read(&format!("[{{\"a\":\"{long}\"}},{{\"id\":1}}]")).unwrap();
        assert_eq!(read, list(&[("", "record_too_long"), ("", r#"{"id":1}"#)]));
    }

    #[test]
    fn a_file_that_ends_early_or_is_no_json_is_told() {
        for text in ["[{\"id\":1}", "{\"tickets\":[{\"id\":1}", "{\"id\":\"", "{\"id\""] {
            assert_eq!(read(text), Err(ErrorKind::UnexpectedEof), "{text}");
        }
        for text in ["<html>", "{7}", "{\"a\" 7}"] {
            assert_eq!(read(text), Err(ErrorKind::InvalidData), "{text}");
        }
    }
}
