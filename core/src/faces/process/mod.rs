//! Processes: what follows from events, and who sees to it.

use super::{Log, RecordManager, face};

mod follower;
mod lent;
mod manager;
mod member;
mod reaction;
mod system;
mod upstream;
mod views;

pub use follower::Follower;
pub use manager::ProcessManager;
pub use member::{Member, Members};
pub use reaction::Reaction;
pub use system::System;
pub use upstream::Upstream;
pub use views::Tracked;
