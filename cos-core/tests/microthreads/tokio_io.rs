//! tokio's sockets, timers and processes inside of microthreads.

use std::time::Duration;

use cos_core::{Os, spawn, yield_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::run;

#[test]
fn sockets_and_timers_work_in_microthreads() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async move {
            for _ in 0..10 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let echo = async move {
                    let mut text = Vec::new();
                    stream.read_to_end(&mut text).await.unwrap();
                    stream.write_all(&text).await.unwrap();
                };
                spawn(echo).await.unwrap();
            }
            // Children end with their parent: it waits for them.
            while cos_core::join(&[]).await.is_some() {}
        };
        let server = spawn(server).await.unwrap();
        let mut clients = Vec::new();
        for n in 0..10_u64 {
            let client = async move {
                tokio::time::sleep(Duration::from_millis(10 - n)).await;
                let mut stream = TcpStream::connect(address).await.unwrap();
                let text = vec![b'x'; 100_000];
                stream.write_all(&text).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
                answer.len()
            };
            clients.push(spawn(client).await.unwrap());
        }
        for client in clients {
            assert_eq!(client.await.unwrap(), 100_000);
        }
        server.await.unwrap();
    });
}

#[test]
fn timers_go_on_while_others_yield_without_end() {
    run(async {
        let endless = async {
            loop {
                yield_now().await;
            }
        };
        spawn(endless).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    });
}

#[test]
fn an_os_runs_on_the_caller_s_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let value = runtime.block_on(async {
        Os::new()
            .run(async {
                let child = spawn(async {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    7
                });
                child.await.unwrap().await.unwrap()
            })
            .await
    });
    assert_eq!(value.unwrap(), 7);
}
