//! Who takes part in a system.

use super::{Follower, Log, ProcessManager, RecordManager, Tracked, face};
use crate::policy::Processed;
use crate::process::{ProcessError, View, bit};
use crate::{Kind, Position};

/// A part of a [`System`](super::System): a [`Follower`] or a [`Tracked`] view.
#[face]
#[allow(async_fn_in_trait)] // the callers are single-threaded firmware: no `Send` is asked for
pub trait Member {
    /// Whether events of this kind are of interest to it.
    fn follows(kind: Kind) -> bool;

    /// Goes over what is new up to the position `end`, over `most` events; says of which kinds the events that it
    /// appends are.
    async fn go_on<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        end: Position,
        most: u32,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<Processed, ProcessError<R::Error>>;

    /// Stores its reading place.
    async fn settle<R: RecordManager>(&mut self, log: &mut Log<'_, R>) -> Result<(), ProcessError<R::Error>>;

    /// Up to where it has read; `None` if its last run did not end well.
    fn seen(&self) -> Option<Position>;
}

#[face]
impl<M: ProcessManager> Member for Follower<M> {
    fn follows(kind: Kind) -> bool {
        M::FOLLOWS.contains(&kind)
    }

    async fn go_on<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        end: Position,
        most: u32,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<Processed, ProcessError<R::Error>> {
        log.run_to(self, end, most, appended).await
    }

    async fn settle<R: RecordManager>(&mut self, log: &mut Log<'_, R>) -> Result<(), ProcessError<R::Error>> {
        Ok(log.checkpoint(self).await?)
    }

    fn seen(&self) -> Option<Position> {
        Follower::seen(self)
    }
}

#[face]
impl<V: View> Member for Tracked<V> {
    fn follows(kind: Kind) -> bool {
        V::FOLLOWS.is_none_or(|kinds| kinds.contains(&kind))
    }

    async fn go_on<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        end: Position,
        most: u32,
        _: &mut dyn FnMut(Kind),
    ) -> Result<Processed, ProcessError<R::Error>> {
        log.refresh_to(self, end, most).await
    }

    async fn settle<R: RecordManager>(&mut self, log: &mut Log<'_, R>) -> Result<(), ProcessError<R::Error>> {
        log.store(self).await
    }

    fn seen(&self) -> Option<Position> {
        Tracked::seen(self)
    }
}

/// The parts of a system: a tuple of one to eight [`Member`]s, numbered from 0.
#[face]
#[allow(async_fn_in_trait)] // the callers are single-threaded firmware: no `Send` is asked for
pub trait Members {
    /// How many there are.
    const COUNT: u8;

    /// The set of members that events of this kind are of interest to, a bit for each.
    fn followers(kind: Kind) -> u8;

    /// [`Member::go_on`] of this member; nothing if there is no such member.
    async fn go_on<R: RecordManager>(
        &mut self,
        member: u8,
        log: &mut Log<'_, R>,
        end: Position,
        most: u32,
        appended: &mut dyn FnMut(Kind),
    ) -> Result<Processed, ProcessError<R::Error>>;

    /// [`Member::settle`] of this member; nothing if there is no such member.
    async fn settle<R: RecordManager>(
        &mut self,
        member: u8,
        log: &mut Log<'_, R>,
    ) -> Result<(), ProcessError<R::Error>>;

    /// [`Member::seen`] of this member; `None` if there is no such member.
    fn seen(&self, member: u8) -> Option<Position>;
}

macro_rules! members {
    ($count:literal: $($name:ident $member:ident $number:literal),*) => {
        #[face]
        impl<$($name: Member),*> Members for ($($name,)*) {
            const COUNT: u8 = $count;

            fn followers(kind: Kind) -> u8 {
                0 $(| if $name::follows(kind) { bit($number) } else { 0 })*
            }

            async fn go_on<R: RecordManager>(
                &mut self,
                member: u8,
                log: &mut Log<'_, R>,
                end: Position,
                most: u32,
                appended: &mut dyn FnMut(Kind),
            ) -> Result<Processed, ProcessError<R::Error>> {
                let ($($member,)*) = self;
                match member {
                    $($number => $member.go_on(log, end, most, appended).await,)*
                    _ => Ok(Processed::default()),
                }
            }

            async fn settle<R: RecordManager>(
                &mut self,
                member: u8,
                log: &mut Log<'_, R>,
            ) -> Result<(), ProcessError<R::Error>> {
                let ($($member,)*) = self;
                match member {
                    $($number => $member.settle(log).await,)*
                    _ => Ok(()),
                }
            }

            fn seen(&self, member: u8) -> Option<Position> {
                let ($($member,)*) = self;
                match member {
                    $($number => $member.seen(),)*
                    _ => None,
                }
            }
        }
    };
}
members!(1: A a 0);
members!(2: A a 0, B b 1);
members!(3: A a 0, B b 1, C c 2);
members!(4: A a 0, B b 1, C c 2, D d 3);
members!(5: A a 0, B b 1, C c 2, D d 3, E e 4);
members!(6: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
members!(7: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6);
members!(8: A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7);
