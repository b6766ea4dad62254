//! ring-shm
