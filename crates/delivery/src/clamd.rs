//! A virus scanner that speaks clamd's protocol (ClamAV): each file over a connection of its own, by `INSTREAM`.
//!
//! <https://docs.clamav.net/manual/Usage/Scanning.html#clamd>

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use kernel::PortError;
use kernel::failure::BoxError;
use ticketing::{BlobReader, Scanner, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

const PORT: &str = "virus scanner";

/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a file may take.
const SCAN_TIME_MAX: Duration = Duration::from_secs(60);
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1_024;
/// The most bytes of a part of a file.
const PART_BYTES_MAX: usize = 64 * 1_024;

/// Where a scanner listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScannerAddress {
    /// At a host and a port.
    Tcp(String),
    /// At a socket of this machine.
    Unix(PathBuf),
}

impl ScannerAddress {
    /// Reads `tcp://host:port` or `unix:///path/of/the/socket`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix://") {
            return path.starts_with('/').then(|| Self::Unix(PathBuf::from(path)));
        }
        let place = text.strip_prefix("tcp://")?;
        let (host, port) = place.rsplit_once(':')?;
        let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        (is_host && is_port).then(|| Self::Tcp(place.to_owned()))
    }
}

impl fmt::Display for ScannerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// A scanner that speaks clamd's protocol.
#[derive(Debug, Clone)]
pub struct ClamdScanner {
    address: ScannerAddress,
}

/// Why a file was not looked at.
#[derive(Debug, thiserror::Error)]
enum ScanError {
    #[error("it does not answer in time")]
    Late,
    #[error("the connection to it failed")]
    Connection(#[source] io::Error),
    #[error("it answers {0:?}")]
    Answer(String),
    #[error(transparent)]
    File(PortError),
}

impl ClamdScanner {
    /// The scanner that listens there.
    #[must_use]
    pub fn new(address: ScannerAddress) -> Self {
        Self { address }
    }

    async fn look(&self, file: Box<dyn BlobReader>) -> Result<Verdict, ScanError> {
        let connected = async {
            Ok(match &self.address {
                ScannerAddress::Tcp(place) => Either::Tcp(TcpStream::connect(place).await?),
                ScannerAddress::Unix(path) => Either::Unix(UnixStream::connect(path).await?),
            })
        };
        let connected = timeout(CONNECT_TIME_MAX, connected).await;
        match connected.map_err(|_| ScanError::Late)? {
            Ok(Either::Tcp(stream)) => ask(stream, file).await,
            Ok(Either::Unix(stream)) => ask(stream, file).await,
            Err(error) => Err(ScanError::Connection(error)),
        }
    }
}

enum Either {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[async_trait]
impl Scanner for ClamdScanner {
    async fn scan(&self, file: Box<dyn BlobReader>) -> Result<Verdict, PortError> {
        let looked = timeout(SCAN_TIME_MAX, self.look(file)).await;
        let error = match looked {
            Ok(Ok(verdict)) => return Ok(verdict),
            Ok(Err(error)) => error,
            Err(_) => ScanError::Late,
        };
        Err(PortError::Unavailable {
            port: PORT,
            source: BoxError::from(error),
        })
    }
}

/// Hands a file to the scanner on the other end and reads what it says of it.
async fn ask<S>(mut stream: S, mut file: Box<dyn BlobReader>) -> Result<Verdict, ScanError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // One that will have no more says why before it hangs up: what it says is read whatever became of the sending.
    let sent = send(&mut stream, file.as_mut()).await;
    if let Err(ScanError::File(error)) = sent {
        return Err(ScanError::File(error));
    }
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    if answer.is_empty() {
        sent?;
        read.map_err(ScanError::Connection)?;
    }
    verdict(&answer)
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), file: &mut dyn BlobReader) -> Result<(), ScanError> {
    let broken = ScanError::Connection;
    stream.write_all(b"zINSTREAM\0").await.map_err(broken)?;
    while let Some(bytes) = file.next().await.map_err(ScanError::File)? {
        for part in bytes.chunks(PART_BYTES_MAX) {
            let length = u32::try_from(part.len()).unwrap_or_default();
            stream.write_all(&length.to_be_bytes()).await.map_err(broken)?;
            stream.write_all(part).await.map_err(broken)?;
        }
    }
    stream.write_all(&0_u32.to_be_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)
}

/// What an answer means: `stream: OK`, `stream: Name FOUND`, or that the file was not looked at.
fn verdict(answer: &[u8]) -> Result<Verdict, ScanError> {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_end_matches(['\0', '\n']);
    match text.strip_prefix("stream: ") {
        Some("OK") => Ok(Verdict::Clean),
        Some(found) if found.ends_with(" FOUND") => {
            Ok(Verdict::Infected(found.trim_end_matches(" FOUND").to_owned()))
        }
        Some(_) | None => Err(ScanError::Answer(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use kernel::{IdSource as _, SequentialIds};
    use ticketing::testing::MemoryBlobs;
    use ticketing::{AttachmentId, Blobs as _};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    async fn file(bytes: &[u8]) -> Box<dyn BlobReader> {
        let (blobs, id) = (
            MemoryBlobs::default(),
            AttachmentId(SequentialIds::default().next()),
        );
        let mut writer = blobs.create(id).await.unwrap();
        writer.write(bytes).await.unwrap();
        let facts = writer.finish().await.unwrap();
        let size = facts.size_bytes.unsigned_abs();
        blobs.open(id, 0..size).await.unwrap().unwrap()
    }

    /// What a clamd of one connection is sent, to which it answers `answer`.
    async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> Vec<u8> {
        let mut command = [0; 10];
        stream.read_exact(&mut command).await.unwrap();
        assert_eq!(&command, b"zINSTREAM\0");
        let mut content = Vec::new();
        loop {
            let length = stream.read_u32().await.unwrap();
            if length == 0 {
                break;
            }
            let mut part = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut part).await.unwrap();
            content.extend(part);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        content
    }

    async fn asked(answer: &str, content: &[u8]) -> Result<Verdict, PortError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let scanner = ClamdScanner::new(ScannerAddress::parse(&address).unwrap());
        let file = file(content).await;
        let served = async { serve(listener.accept().await.unwrap().0, answer).await };
        let (verdict, received) = tokio::join!(scanner.scan(file), served);
        assert_eq!(received, content);
        verdict
    }

    #[tokio::test]
    async fn a_verdict_is_what_clamd_says() {
        let content: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        assert_eq!(asked("stream: OK\0", &content).await.unwrap(), Verdict::Clean);
        assert_eq!(
            asked("stream: Eicar-Test-Signature FOUND\0", b"X5O")
                .await
                .unwrap(),
            Verdict::Infected("Eicar-Test-Signature".to_owned())
        );
        for answer in [
            "INSTREAM size limit exceeded. ERROR\0",
            "stream: not OK",
            "OK",
            "",
        ] {
            assert!(asked(answer, b"x").await.is_err(), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_socket_of_the_machine_does_as_well() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("clamd.ctl");
        let listener = UnixListener::bind(&path).unwrap();
        let scanner = ClamdScanner::new(ScannerAddress::Unix(path));
        let file = file(b"hello").await;
        let served = async { serve(listener.accept().await.unwrap().0, "stream: OK\0").await };
        let (verdict, received) = tokio::join!(scanner.scan(file), served);
        assert_eq!(
            (verdict.unwrap(), received.as_slice()),
            (Verdict::Clean, b"hello".as_slice())
        );
    }

    #[tokio::test]
    async fn a_scanner_that_is_not_there_has_said_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let scanner = ClamdScanner::new(ScannerAddress::Unix(folder.path().join("nobody")));
        let error = scanner.scan(file(b"hello").await).await.unwrap_err();
        assert!(matches!(error, PortError::Unavailable { .. }), "{error}");
    }

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_socket() {
        for text in [
            "tcp://127.0.0.1:3310",
            "tcp://[::1]:3310",
            "unix:///run/clamav/clamd.ctl",
        ] {
            assert_eq!(ScannerAddress::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "127.0.0.1:3310",
            "tcp://",
            "tcp://host",
            "tcp://host:0",
            "tcp://a/b:1",
            "unix://run",
        ] {
            assert_eq!(ScannerAddress::parse(text), None, "{text}");
        }
    }
}
