//! The Noise channel of one connection: its handshake, and bodies of any permitted length in messages of at most 64 KiB.

use snow::{Builder, HandshakeState, TransportState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BODY_BYTES_MAX, LinkError, LinkKey};

/// The most bytes of a Noise message (the protocol's own limit).
pub(super) const MESSAGE_BYTES_MAX: usize = 65_535;

/// What authenticates a Noise message.
pub(super) const TAG_BYTES: usize = 16;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// Both sides must mean this protocol: another version has another prologue, and its handshake fails.
const PROLOGUE: &[u8] = b"clusterdrop link 1";

/// A Noise channel after its handshake.
pub(super) struct Channel(pub(super) TransportState);

impl Channel {
    pub(super) async fn connect(stream: &mut TcpStream, key: &LinkKey) -> Result<Self, LinkError> {
        let mut noise = builder(key)?.build_initiator().map_err(|_| LinkError::Stranger)?;
        write_handshake(stream, &mut noise).await?;
        read_handshake(stream, &mut noise).await?;
        Ok(Self(noise.into_transport_mode().map_err(|_| LinkError::Stranger)?))
    }

    pub(super) async fn accept(stream: &mut TcpStream, key: &LinkKey) -> Result<Self, LinkError> {
        let mut noise = builder(key)?.build_responder().map_err(|_| LinkError::Stranger)?;
        read_handshake(stream, &mut noise).await?;
        write_handshake(stream, &mut noise).await?;
        Ok(Self(noise.into_transport_mode().map_err(|_| LinkError::Stranger)?))
    }

    pub(super) async fn send(&mut self, stream: &mut TcpStream, body: &[u8]) -> Result<(), LinkError> {
        let length = body_length(body.len())?;
        let mut message = vec![0; MESSAGE_BYTES_MAX];
        let whole = [&length.to_be_bytes(), body].concat();
        for part in whole.chunks(MESSAGE_BYTES_MAX - TAG_BYTES) {
            let bytes = self.0.write_message(part, &mut message).map_err(|_| LinkError::Forged)?;
            write_frame(stream, &message[..bytes]).await?;
        }
        stream.flush().await.map_err(LinkError::Closed)
    }

    pub(super) async fn receive(&mut self, stream: &mut TcpStream) -> Result<Vec<u8>, LinkError> {
        let mut plain = vec![0; MESSAGE_BYTES_MAX];
        let mut whole: Vec<u8> = Vec::new();
        loop {
            let bytes = self.0.read_message(&read_frame(stream).await?, &mut plain).map_err(|_| LinkError::Forged)?;
            whole.extend_from_slice(&plain[..bytes]);
            // A message without content moves nothing on; a peer that sends only such is ended by the time limit.
            let Some((length, body)) = whole.split_first_chunk::<4>() else { continue };
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > BODY_BYTES_MAX || body.len() > length {
                return Err(LinkError::Oversized(length.max(body.len())));
            }
            if body.len() == length {
                whole.drain(..4);
                return Ok(whole);
            }
        }
    }
}

/// The parameters are constants, so it fails only where this build of the crate lacks an algorithm.
pub(super) fn builder(key: &LinkKey) -> Result<Builder<'_>, LinkError> {
    let parameters = PATTERN.parse().map_err(|_| LinkError::Stranger)?;
    Builder::new(parameters).psk(0, &key.0).and_then(|builder| builder.prologue(PROLOGUE)).map_err(|_| LinkError::Stranger)
}

/// A body's length as it is sent.
pub(super) fn body_length(bytes: usize) -> Result<u32, LinkError> {
    u32::try_from(bytes).ok().filter(|_| bytes <= BODY_BYTES_MAX).ok_or(LinkError::Oversized(bytes))
}

async fn write_handshake(stream: &mut TcpStream, noise: &mut HandshakeState) -> Result<(), LinkError> {
    let mut message = [0; 128];
    let bytes = noise.write_message(&[], &mut message).map_err(|_| LinkError::Stranger)?;
    write_frame(stream, &message[..bytes]).await
}

pub(super) async fn read_handshake(stream: &mut TcpStream, noise: &mut HandshakeState) -> Result<(), LinkError> {
    let mut payload = vec![0; MESSAGE_BYTES_MAX];
    let message = read_frame(stream).await?;
    noise.read_message(&message, &mut payload).map_err(|_| LinkError::Stranger).map(|_| ())
}

pub(super) async fn write_frame(stream: &mut TcpStream, message: &[u8]) -> Result<(), LinkError> {
    // Noise messages are no longer than their length can say.
    let length = u16::try_from(message.len()).map_err(|_| LinkError::Oversized(message.len()))?;
    // One write: two would wait for each other's acknowledgement (Nagle's algorithm).
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await.map_err(LinkError::Closed)
}

async fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>, LinkError> {
    let length = stream.read_u16().await.map_err(LinkError::Closed)?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.map_err(LinkError::Closed)?;
    Ok(message)
}
