//! Tasks by hand, until a function can be marked as one.

/// Makes a function a task: a module of its name has the function `job`.
macro_rules! task {
    ($(#[$meta:meta])* $name:ident($($argument:ident: $of:ty),*) -> $value:ty $body:block) => {
        task!(@ $(#[$meta])* $name($($argument: $of),*) -> $value | $value | Ok $body);
    };
    ($(#[$meta:meta])* fallible $name:ident($($argument:ident: $of:ty),*) -> $value:ty $body:block) => {
        task!(@ $(#[$meta])* $name($($argument: $of),*) -> $value | std::io::Result<$value> | flat $body);
    };
    (@ $(#[$meta:meta])* $name:ident($($argument:ident: $of:ty),*) -> $value:ty | $returned:ty | $flatten:ident $body:block) => {
        $(#[$meta])*
        pub mod $name {
            #[allow(unused_imports, reason = "not every task needs them")]
            use super::*;
            use cos_core::registry::{Arguments, Called, Decoder, Encoder, HANDLERS, Handler, Task, Undecodable};

            struct This;
            struct These { $($argument: $of),* }

            impl Arguments for These {
                fn encode(&self, _encoder: &mut Encoder) {
                    $(_encoder.argument(stringify!($argument), &self.$argument);)*
                }
                fn decode(_decoder: &mut Decoder<'_>) -> Result<Self, Undecodable> {
                    Ok(Self { $($argument: _decoder.argument(stringify!($argument))?),* })
                }
            }

            impl Task for This {
                const NAME: &'static str = concat!(module_path!());
                const FINGERPRINT: u64 = 1;
                type Arguments = These;
                type Value = $value;
                fn call(These { $($argument),* }: These) -> Called<Result<$value, String>> {
                    fn body($($argument: $of),*) -> $returned $body
                    #[allow(dead_code, reason = "for those that can fail")]
                    fn flat<T>(result: std::io::Result<T>) -> Result<T, String> {
                        result.map_err(|error| error.to_string())
                    }
                    Called::Done($flatten(body($($argument),*)))
                }
                fn encode(value: &$value, encoder: &mut Encoder) {
                    encoder.value(value);
                }
                fn decode(decoder: &mut Decoder<'_>) -> Result<$value, Undecodable> {
                    decoder.value()
                }
            }

            #[linkme::distributed_slice(HANDLERS)]
            static HANDLER: Handler = Handler::of::<This>(concat!(file!(), ":", line!()));

            /// The job.
            pub fn job($($argument: $of),*) -> cos_core::job::Job<$value> {
                cos_core::registry::job::<This>(These { $($argument),* })
            }
        }
    };
}
