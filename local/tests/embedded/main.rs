//! The embedded services and the gateway, each in isolation, with the calls that the suite makes.

mod dynamodb;
mod gateway;
mod guard;
mod pages;
mod s3;
mod sources;
mod sqs;
mod support;
