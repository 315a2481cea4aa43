//! What a command line means. `understand` is the way in; each family of tools is a folder
//! behind the trait in `meaning`.

pub mod understand;

pub mod key_parts;
pub mod meaning;
pub mod places;
pub mod plan;
pub mod refusal;
pub mod understood;

pub mod archive;
pub mod declared;
pub mod emscripten;
pub mod gcc;
pub mod link;
pub mod rust;
pub mod rustfmt;
pub mod tidy;

pub mod caller;
pub mod closure;
pub mod command;
pub mod driver;
pub mod environment;
pub mod find;
mod finds;
pub mod kind;
mod needs;
mod program;
mod query;
mod searched;
mod surroundings;
pub mod toolchain;
pub mod way;
pub mod worktree;
