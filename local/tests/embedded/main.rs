//! The embedded services and the front, each by itself: the calls that the suite relies on, made as it makes them.

mod dynamodb;
mod front;
mod guard;
mod pages;
mod s3;
mod sources;
mod sqs;
mod support;
