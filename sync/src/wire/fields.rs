//! The bodies of messages, field by field.

use evenkeel_core::bytes::{ByteReader, ByteWriter};
use evenkeel_core::{Epoch, LogId, Moment, Position};

use super::{
    BUSY, COMMIT, COMMITTED, CUSTODY, Commit, DONE, ERR, FLAG_COMMIT, FLAG_PROOF, FLAG_RELAYED, GAP, HEAD, HELLO, Head,
    Hello, Life, Lives, Message, NOTIFY, READ, Read, Refusal, SCHEMA, SCHEMA_GET, Time, WireError, type_byte,
};
use crate::missing::Missing;
use crate::seal::Proof;
use crate::{Loss, Piece};

pub(super) fn read<'b>(message: u8, input: &mut ByteReader<'b>) -> Result<Message<'b>, WireError> {
    match message {
        HELLO => hello(input),
        HEAD => head(input),
        READ => read_request(input),
        GAP => gap(input),
        COMMIT => (|| Some(Message::Commit { epoch: epoch(input)?, commit: commit(input)? }))(),
        COMMITTED => {
            (|| Some(Message::Committed { epoch: epoch(input)?, cursor: position(input)?, proof: proof(input)? }))()
        }
        CUSTODY => custody(input),
        SCHEMA_GET => {
            (|| Some(Message::SchemaGet { request: input.u32()?, digest: input.u64()?, offset: number(input)? }))()
        }
        SCHEMA => schema(input),
        BUSY => (|| Some(Message::Busy { request: input.u32()?, retry_ms: number(input)? }))(),
        ERR => err(input),
        NOTIFY => (|| Some(Message::Notify { device: input.u64()?, log: log_id(input)?, pending: input.varint()? }))(),
        DONE => (|| Some(Message::Done { request: input.u32()?, next: held(input)? }))(),
        _ => return Err(WireError::Unknown),
    }
    .ok_or(WireError::Malformed)
}

fn log_id(input: &mut ByteReader<'_>) -> Option<LogId> {
    Some(LogId(u16::try_from(input.varint()?).ok()?))
}

fn epoch(input: &mut ByteReader<'_>) -> Option<Epoch> {
    input.u64().map(Epoch)
}

fn position(input: &mut ByteReader<'_>) -> Option<Position> {
    input.varint().map(Position)
}

/// A position that an event can have.
fn held(input: &mut ByteReader<'_>) -> Option<Position> {
    position(input).filter(|position| *position > Position::START)
}

fn number(input: &mut ByteReader<'_>) -> Option<u32> {
    u32::try_from(input.varint()?).ok()
}

fn proof(input: &mut ByteReader<'_>) -> Option<Proof> {
    let len = input.u8()?;
    Proof::new(input.slice(usize::from(len))?)
}

fn commit(input: &mut ByteReader<'_>) -> Option<Commit> {
    let commit = Commit { from: position(input)?, to: position(input)?, proof: proof(input)? };
    (commit.from <= commit.to).then_some(commit)
}

fn hello<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (request, log, versions, sink, limit) =
        (input.u32()?, log_id(input)?, input.u8()?, input.u64()?, number(input)?);
    let (unix_ms, uncertainty_ms) = (input.varint()?, number(input)?);
    let time = (unix_ms > 0).then_some(Time { unix_ms, uncertainty_ms });
    Some(Message::Hello(Hello { request, log, versions, sink, limit, time }))
}

fn head<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (request, versions, suite) = (input.u32()?, input.u8()?, input.u8()?);
    let (device, log) = (input.u64()?, log_id(input)?);
    let (first, next, cursor) = (held(input)?, position(input)?, position(input)?);
    let mut lives = Lives::default();
    let count = input.u8()?;
    for _ in 0..count {
        let (epoch, base) = (epoch(input)?, position(input)?);
        if !lives.open(epoch, base) {
            return None;
        }
    }
    let sound = first <= next && cursor < next && lives.newest().is_some_and(|life| life.base <= next);
    let moment = Moment { boot: number(input)?, tick: input.varint()? };
    let (schema, policy, free) = (input.u64()?, input.u8()?, input.varint()?);
    let relayed = input.u8()? & FLAG_RELAYED != 0;
    let head = Head {
        request,
        versions,
        suite,
        device,
        log,
        first,
        next,
        cursor,
        lives,
        moment,
        schema,
        policy,
        free,
        relayed,
    };
    sound.then_some(Message::Head(head))
}

fn read_request<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (request, epoch) = (input.u32()?, epoch(input)?);
    let (after, credit, limit) = (position(input)?, number(input)?, number(input)?);
    let flags = input.u8()?;
    let commit = match flags & FLAG_COMMIT {
        0 => None,
        _ => Some(commit(input)?),
    };
    let len = input.u8()?;
    let missing = Missing::from_bytes(input.slice(usize::from(len))?)?;
    let proof = if flags & FLAG_PROOF == 0 { None } else { Some(proof(input)?) };
    Some(Message::Read(Read { request, epoch, after, credit, limit, commit, missing, proof }))
}

fn gap<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (first, last, reason) = (held(input)?, position(input)?, Loss::from_code(input.u8()?));
    let sound = first <= last && last.0 < u64::MAX;
    sound.then_some(Message::Piece(Piece::Gap { first, last, reason }))
}

fn custody<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (epoch, relay) = (epoch(input)?, input.u64()?);
    Some(Message::Custody { epoch, relay, position: position(input)?, proof: proof(input)? })
}

fn schema<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (digest, offset, total) = (input.u64()?, number(input)?, number(input)?);
    let len = usize::try_from(input.varint()?).ok()?;
    let bytes = input.slice(len)?;
    let end = offset.checked_add(u32::try_from(len).ok()?)?;
    (end <= total).then_some(Message::Schema { digest, offset, total, bytes })
}

fn err<'b>(input: &mut ByteReader<'b>) -> Option<Message<'b>> {
    let (request, epoch) = (input.u32()?, epoch(input)?);
    let (code, a, b) = (input.u8()?, input.varint()?, input.varint()?);
    Some(Message::Err { request, epoch, refusal: Refusal::from_code(code, a, b) })
}

/// Writes type and body; answers the message's number.
pub(super) fn write(message: &Message<'_>, out: &mut ByteWriter<'_>) -> Option<u8> {
    let number = match message {
        Message::Hello(_) => HELLO,
        Message::Head(_) => HEAD,
        Message::Read(_) => READ,
        Message::Piece(_) => GAP,
        Message::Commit { .. } => COMMIT,
        Message::Committed { .. } => COMMITTED,
        Message::Custody { .. } => CUSTODY,
        Message::SchemaGet { .. } => SCHEMA_GET,
        Message::Schema { .. } => SCHEMA,
        Message::Busy { .. } => BUSY,
        Message::Err { .. } => ERR,
        Message::Notify { .. } => NOTIFY,
        Message::Done { .. } => DONE,
    };
    out.u8(type_byte(number))?;
    match message {
        Message::Hello(hello) => write_hello(hello, out)?,
        Message::Head(head) => write_head(head, out)?,
        Message::Read(read) => write_read(read, out)?,
        Message::Piece(piece) => {
            let Piece::Gap { first, last, reason } = piece else { return None };
            out.varint(first.0)?;
            out.varint(last.0)?;
            out.u8(reason.code())?;
        }
        Message::Commit { epoch, commit } => {
            out.u64(epoch.0)?;
            write_commit(commit, out)?;
        }
        Message::Committed { epoch, cursor, proof } => {
            out.u64(epoch.0)?;
            out.varint(cursor.0)?;
            write_proof(proof, out)?;
        }
        Message::Custody { epoch, relay, position, proof } => {
            out.u64(epoch.0)?;
            out.u64(*relay)?;
            out.varint(position.0)?;
            write_proof(proof, out)?;
        }
        Message::SchemaGet { request, digest, offset } => {
            out.u32(*request)?;
            out.u64(*digest)?;
            out.varint(u64::from(*offset))?;
        }
        Message::Schema { digest, offset, total, bytes } => {
            out.u64(*digest)?;
            out.varint(u64::from(*offset))?;
            out.varint(u64::from(*total))?;
            out.varint(bytes.len() as u64)?;
            out.slice(bytes)?;
        }
        Message::Busy { request, retry_ms } => {
            out.u32(*request)?;
            out.varint(u64::from(*retry_ms))?;
        }
        Message::Err { request, epoch, refusal } => {
            let (code, a, b) = refusal.parts();
            out.u32(*request)?;
            out.u64(epoch.0)?;
            out.u8(code)?;
            out.varint(a)?;
            out.varint(b)?;
        }
        Message::Notify { device, log, pending } => {
            out.u64(*device)?;
            out.varint(u64::from(log.0))?;
            out.varint(*pending)?;
        }
        Message::Done { request, next } => {
            out.u32(*request)?;
            out.varint(next.0)?;
        }
    }
    Some(number)
}

fn write_proof(proof: &Proof, out: &mut ByteWriter<'_>) -> Option<()> {
    out.u8(u8::try_from(proof.bytes().len()).ok()?)?;
    out.slice(proof.bytes())
}

fn write_commit(commit: &Commit, out: &mut ByteWriter<'_>) -> Option<()> {
    out.varint(commit.from.0)?;
    out.varint(commit.to.0)?;
    write_proof(&commit.proof, out)
}

fn write_hello(hello: &Hello, out: &mut ByteWriter<'_>) -> Option<()> {
    out.u32(hello.request)?;
    out.varint(u64::from(hello.log.0))?;
    out.u8(hello.versions)?;
    out.u64(hello.sink)?;
    out.varint(u64::from(hello.limit))?;
    out.varint(hello.time.map_or(0, |time| time.unix_ms))?;
    out.varint(hello.time.map_or(0, |time| u64::from(time.uncertainty_ms)))
}

fn write_head(head: &Head, out: &mut ByteWriter<'_>) -> Option<()> {
    out.u32(head.request)?;
    out.slice(&[head.versions, head.suite])?;
    out.u64(head.device)?;
    out.varint(u64::from(head.log.0))?;
    out.varint(head.first.0)?;
    out.varint(head.next.0)?;
    out.varint(head.cursor.0)?;
    out.u8(u8::try_from(head.lives.as_slice().len()).ok()?)?;
    for Life { epoch, base } in head.lives.as_slice() {
        out.u64(epoch.0)?;
        out.varint(base.0)?;
    }
    out.varint(u64::from(head.moment.boot))?;
    out.varint(head.moment.tick)?;
    out.u64(head.schema)?;
    out.u8(head.policy)?;
    out.varint(head.free)?;
    out.u8(if head.relayed { FLAG_RELAYED } else { 0 })
}

fn write_read(read: &Read, out: &mut ByteWriter<'_>) -> Option<()> {
    out.u32(read.request)?;
    out.u64(read.epoch.0)?;
    out.varint(read.after.0)?;
    out.varint(u64::from(read.credit))?;
    out.varint(u64::from(read.limit))?;
    let commit = if read.commit.is_some() { FLAG_COMMIT } else { 0 };
    out.u8(commit | if read.proof.is_some() { FLAG_PROOF } else { 0 })?;
    if let Some(commit) = &read.commit {
        write_commit(commit, out)?;
    }
    out.u8(u8::try_from(read.missing.bytes().len()).ok()?)?;
    out.slice(read.missing.bytes())?;
    read.proof.as_ref().map_or(Some(()), |proof| write_proof(proof, out))
}
