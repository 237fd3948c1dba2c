//! Kernel, runtime, dispatch, virtual machines, wire protocol and worker of COS.
