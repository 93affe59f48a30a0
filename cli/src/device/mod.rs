//! `evenkeel device`: plays a device, to try collectors out without hardware.

pub(crate) mod book;
pub(crate) mod meter;
pub(crate) mod radio;
pub(crate) mod sim;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::stream::{packet_bytes_at_most, write_frame};

use crate::args::{DeviceArgs, DeviceTo};
use crate::collect::{CollectError, tty};
use radio::FRAME_BYTES;
use sim::{Board, Stop, Visit};

/// How long a device that has delivered everything waits before it leaves.
const LINGER: Duration = Duration::from_millis(300);

/// Plays the device. Answers what is to be said, and whether everything was delivered.
pub(crate) fn run(args: &DeviceArgs) -> Result<(String, bool), CollectError> {
    let failed = |stop: Stop| CollectError::Io("the device has failed", std::io::Error::other(stop.to_string()));
    let mut board = Board::new(args.device, false, Rng::from_seed(args.seed)).map_err(failed)?;
    let recorded = board.record(args.events, false).map_err(failed)?;
    let visit = Visit { loss: args.loss, within: Duration::from_secs(args.within), linger: LINGER, cut: false };
    let delivered = match &args.to {
        DeviceTo::Connect(address) => {
            let stream = TcpStream::connect(address);
            let stream = stream.map_err(|error| CollectError::Connect(format!("tcp://{address}"), error))?;
            board.contact(stream, &visit)
        }
        DeviceTo::Listen(address) => {
            let bound = TcpListener::bind(address)
                .and_then(|listener| {
                    say(&format!("tcp {}\n", listener.local_addr()?));
                    listener.accept()
                })
                .map_err(|error| CollectError::Connect(format!("tcp://{address}"), error))?;
            board.contact(bound.0, &visit)
        }
        DeviceTo::Serial(path) => {
            let line = tty::open(path, args.baud);
            board.contact(line.map_err(|error| CollectError::Read(path.clone(), error))?, &visit)
        }
        DeviceTo::File(path) => {
            let mut packets = Vec::new();
            let poured = board.pour(|frame| {
                let mut packet = [0; packet_bytes_at_most(FRAME_BYTES)];
                let len = write_frame(frame, &mut packet).unwrap_or_default();
                packets.extend_from_slice(packet.get(..len).unwrap_or_default());
                Ok(())
            });
            let written = std::fs::write(path, &packets);
            written.map_err(|error| CollectError::Read(path.clone(), error))?;
            poured.map(|()| true)
        }
    };
    let delivered = match delivered {
        Ok(delivered) => delivered,
        Err(Stop::Line(_)) => false,
        Err(stop) => return Err(failed(stop)),
    };
    let identity = board.identity();
    let last = board.book.life().last();
    let state = if delivered { "delivered" } else { "not delivered" };
    Ok((format!("{identity}\n{state}: recorded={recorded} last={last}\n"), delivered))
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
