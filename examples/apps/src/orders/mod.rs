//! Orders, reservations and payments: the classic example of processes that follow each other.
//!
//! A vending machine takes orders. An order is reserved from the stock, or rejected if there is too little; a reservation
//! has it paid; and the order learns of both. Nobody calls anybody: each process follows the kinds of events that it
//! reacts to, and each of its reactions is one append with its reading place, so that all of it happens exactly once,
//! whenever the power fails.
//!
//! | module | subject | stream |
//! | --- | --- | --- |
//! | [`order`] | one order: placed, reserved, paid, or rejected | `0x1_0000 +` its number |
//! | [`stock`] | what is in the machine | `1` |
//! | [`reservation`], [`payment`] | what was put aside, and paid, for an order | `0x2_0000 +`, `0x3_0000 +` its number |
//! | [`processes`] | who follows whom | |
//! | [`turnover`] | view: what has been earned | `2` |
//! | [`shop`] | all of it over one log | |
//!
//! ```
//! use evenkeel_apps::orders::{Order, Shop};
//! use evenkeel_core::{Log, RamLog};
//!
//! let mut scratch = [0; 512];
//! let log = Log::mount(RamLog::<_, 16, 4>::new([0; 4096]), &mut scratch).unwrap();
//! let mut shop = Shop::open(log);
//! shop.fill(10).unwrap();
//! shop.place(1, 4).unwrap();
//! shop.place(2, 7).unwrap(); // there are 6 left
//! assert!(shop.order(1).unwrap().is_paid());
//! assert!(shop.order(2).unwrap().is_rejected());
//! assert_eq!((shop.stock().unwrap().units(), shop.turnover().unwrap().cents()), (6, 4 * 250));
//! ```

pub mod order;
pub mod payment;
pub mod processes;
pub mod reservation;
pub mod shop;
pub mod stock;
pub mod turnover;

pub use order::{Order, OrderEvent};
pub use payment::Payment;
pub use processes::{Orders, Payments, Reservations};
pub use reservation::Reservation;
pub use shop::{Shop, ShopError, ShopSystem};
pub use stock::{Stock, StockEvent};
pub use turnover::Turnover;

/// What a unit costs.
pub const CENTS_A_UNIT: u32 = 250;
