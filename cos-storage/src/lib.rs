//! Abstract and actual paths over mirrored storage.
