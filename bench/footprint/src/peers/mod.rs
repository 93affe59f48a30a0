//! The peers, as `bench` sets them up: without panics that say something, without an allocator.

mod ekv;
mod queue;
mod sensor_db;
mod waiting;

pub use ekv::Ekv;
pub use queue::{Cached, Queue};
pub use sensor_db::Series;
