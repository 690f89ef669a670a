//! An HTTP/1.1 client that costs little: one kept connection, blocking, over the standard library alone. A thread for
//! each connection needs fewer system calls than an event loop would, and what is compiled in advance is fast even in an
//! unoptimised build of this tool.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest answer that is taken.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A kept connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_TIME_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            line: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Sends a request as it is and waits for the whole answer: its status and its body.
    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        self.stream.get_mut().write_all(request)?;
        let status = self.head_line()?;
        let status = status
            .get(9..12)
            .and_then(|digits| str::from_utf8(digits).ok()?.parse().ok())
            .ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.head_line()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = value_of(line, b"content-length:") {
                length = value
                    .parse()
                    .map_err(|_| io::Error::other("the answer's length is no number"))?;
            } else if let Some(value) = value_of(line, b"transfer-encoding:") {
                chunked = value.eq_ignore_ascii_case("chunked");
            }
        }
        self.body.clear();
        if chunked {
            self.chunks()?;
        } else {
            self.part(length)?;
        }
        Ok((status, &self.body))
    }

    /// The next line of the head, without its end.
    fn head_line(&mut self) -> io::Result<&[u8]> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line)?;
        match self.line.strip_suffix(b"\r\n") {
            Some(line) => Ok(line),
            None => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
        }
    }

    fn chunks(&mut self) -> io::Result<()> {
        loop {
            let size = str::from_utf8(self.head_line()?)
                .ok()
                .and_then(|size| usize::from_str_radix(size.split(';').next()?.trim(), 16).ok());
            match size {
                Some(0) => {
                    self.head_line()?;
                    return Ok(());
                }
                Some(size) => {
                    self.part(size)?;
                    self.head_line()?;
                }
                None => return Err(io::Error::other("a chunk of the answer has no size")),
            }
        }
    }

    fn part(&mut self, length: usize) -> io::Result<()> {
        let before = self.body.len();
        if before.saturating_add(length) > BODY_BYTES_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
        let mut part = (&mut self.stream).take(length as u64);
        let read = part.read_to_end(&mut self.body)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name)
        .then(|| str::from_utf8(value).ok())
        .flatten()
        .map(str::trim)
}

/// A request as bytes.
pub(super) fn request(method: &str, target: &str, token: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: bench\r\n");
    if let Some(token) = token {
        text.push_str("Authorization: Bearer ");
        text.push_str(token);
        text.push_str("\r\n");
    }
    if let Some(body) = body {
        text.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Gives these bytes as the answer to whatever comes.
    fn answered(answer: &'static str) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = [0; 1024];
            let _ = stream.read(&mut seen).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let mut connection = Connection::open(address)?;
        let answer = connection.send(&request("GET", "/", None, None));
        let answer = answer.map(|(status, body)| (status, String::from_utf8_lossy(body).into_owned()));
        server.join().unwrap();
        answer
    }

    #[test]
    fn answers_of_a_length_and_in_chunks_are_read_whole() {
        let plain = answered("HTTP/1.1 201 Created\r\nX: y\r\ncontent-length: 5\r\n\r\nhello").unwrap();
        assert_eq!(plain, (201, "hello".to_owned()));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(answered(chunked).unwrap(), (200, "hello".to_owned()));
    }

    #[test]
    fn a_connection_that_ends_too_early_is_an_error() {
        assert!(answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").is_err());
        assert!(answered("").is_err());
    }
}
