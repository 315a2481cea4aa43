//! What is kept on disk: blobs and the index.

pub mod blob;
