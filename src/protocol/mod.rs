//! What wrapper and daemon say to each other over the socket.

pub mod board;
pub mod frame;
pub mod message;
pub mod quick;
pub mod told;
pub mod view;
