//! Speakers among themselves, over wires that a test can see and cut.

mod chaos;
mod hostile;
mod net;
mod restart;
mod routes;
mod sessions;
mod slow;
