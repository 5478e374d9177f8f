//! Real S3 servers, proxies, mounts and loop devices for tests; each is cleaned up when dropped.

pub mod seaweed;
