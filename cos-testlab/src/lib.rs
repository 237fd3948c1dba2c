//! Private sshd hosts on loopback and a seeded fault proxy, for tests.
