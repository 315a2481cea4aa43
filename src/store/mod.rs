//! What is kept on disk: blobs and the index.

pub mod blob;
mod calls;
pub mod deliver;
pub mod evict;
pub mod index;
pub mod pack;
mod pending;
pub mod record;
mod recovery;
mod tree;
pub mod watched;
