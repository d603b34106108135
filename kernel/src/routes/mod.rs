//! Want against have for routes: two tables, one for each family, of which each
//! entry takes little more than its prefix.

mod compact;
mod dump;
mod table;

pub use dump::RouteDump;
pub(crate) use table::Routes;
