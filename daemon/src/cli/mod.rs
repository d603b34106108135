pub(crate) mod args;
