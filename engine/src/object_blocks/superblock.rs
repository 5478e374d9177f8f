//! The record of a volume's shape.
