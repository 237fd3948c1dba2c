//! What is no `main` of a COS program.

mod blocking {
    #[cos_core::main]
    fn main() {}
}

mod arguments {
    #[cos_core::main]
    async fn main(arguments: Vec<String>) {}
}

mod number {
    #[cos_core::main]
    async fn main() -> u8 {
        1
    }
}

#[cos_core::main(threads = 2)]
async fn main() {}
