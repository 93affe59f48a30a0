//! Is this the board whose log is stored? Asked before anything new of it is taken.

use evenkeel_core::Position;
use evenkeel_sync::wire::{Commit, Head, Message, Refusal};
use evenkeel_sync::{Proof, Prover, Purpose, Seal, SourceIdentity, commit_proof, commit_prover, prove_event};
use tokio::io::{AsyncRead, AsyncWrite};

use super::contact::{ATTEMPTS, Contact, ContactError, OUT_BYTES, Step};
use super::stage::Stage;
use super::{Distrust, Quarantine};

/// What a device said to a commit.
enum Said {
    Same,
    /// It cannot read up to here any more.
    Unreadable(Position),
    Other {
        from: Position,
        to: Position,
    },
    /// It is for the sink to find out.
    Unclear,
    Nothing,
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Contact<'_, T> {
    /// Shows the device what is stored beyond what it knows to be stored, and goes on only if it has the same.
    ///
    /// Two boards with a copy of the same flash go on under the same names. A board that comes second with a longer
    /// log would otherwise have its events put behind those of the first before anybody notices.
    pub(crate) async fn verify<S: Seal>(&mut self, stage: &Stage, head: &Head, seal: &S) -> Result<(), ContactError> {
        let lives = head.lives.as_slice();
        for (index, life) in lives.iter().enumerate() {
            let identity = SourceIdentity { device: head.device, log: head.log, epoch: life.epoch };
            let end = lives.get(index + 1).map_or(head.next, |next| next.base.min(head.next));
            let Some(known) = stage.find(&identity) else { continue };
            let to = known.cursor.min(end.previous());
            if to <= head.cursor || to < life.base || known.quarantine.is_some() || known.cursor >= head.next {
                continue;
            }
            self.show(stage, &identity, (head.cursor, to), seal).await?;
        }
        Ok(())
    }

    async fn show<S: Seal>(
        &mut self,
        stage: &Stage,
        identity: &SourceIdentity,
        (after, to): (Position, Position),
        seal: &S,
    ) -> Result<(), ContactError> {
        let mut floor = after;
        for _ in 0..ATTEMPTS {
            let stretch = stage.stretch(identity, floor, to);
            let from = stretch.first().map_or(to, |event| event.position.previous());
            let commit = {
                let mut prover = commit_prover(seal, identity);
                stretch.iter().for_each(|event| prove_event(&mut prover, &event.record()));
                Commit { from, to, proof: commit_proof::<S>(prover, from, to) }
            };
            let mut frame = [0; OUT_BYTES];
            let message = Message::Commit { epoch: identity.epoch, commit };
            let len = message.write(identity, seal, &mut frame).unwrap_or_default();
            self.frames.send(frame.get(..len).unwrap_or_default()).await?;
            match self.said(identity, to, seal).await? {
                Said::Same | Said::Unclear => return Ok(()),
                Said::Unreadable(last) => floor = last.max(floor),
                Said::Other { from, to } => {
                    let why = Quarantine { reason: Distrust::Diverged, first: from.next(), last: to };
                    return Err(self.distrust(Some(*identity), why).await?);
                }
                Said::Nothing => {}
            }
        }
        Err(ContactError::Silent)
    }

    async fn said<S: Seal>(&mut self, identity: &SourceIdentity, to: Position, seal: &S) -> Result<Said, ContactError> {
        let until = std::time::Instant::now() + self.config.timeout;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let frame = match self.wait(left).await? {
                Step::Frame(frame) => frame,
                Step::Later => return Ok(Said::Nothing),
            };
            match Message::parse(&frame, Some(identity)) {
                Ok(Message::Committed { epoch, cursor, proof })
                    if epoch == identity.epoch && cursor >= to && committed(seal, identity, cursor).fits(&proof) =>
                {
                    return Ok(Said::Same);
                }
                Ok(Message::Err { refusal, .. }) => match refusal {
                    Refusal::Diverged { from, to: last } if last <= to => return Ok(Said::Other { from, to: last }),
                    Refusal::Unproven { last, .. } if last <= to => return Ok(Said::Unreadable(last)),
                    Refusal::Ahead { .. } | Refusal::UnknownEpoch | Refusal::OlderFirst { .. } => {
                        return Ok(Said::Unclear);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// The proof of a COMMITTED.
fn committed<S: Seal>(seal: &S, identity: &SourceIdentity, cursor: Position) -> Proof {
    let mut prover = seal.prover(identity, Purpose::Committed);
    prover.update(&0_u64.to_le_bytes());
    prover.update(&cursor.0.to_le_bytes());
    Proof::of::<S>(prover)
}
