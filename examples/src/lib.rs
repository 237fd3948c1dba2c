//! Runnable programs that embed COS.
