//! Each fault of the proxy is what it says, seen from a plain TCP client and from ssh.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use cos_testlab::{Fault, FaultPlan, FaultProxy, Lab, Toward};

/// Generous: nothing here should take a second.
const DEADLINE: Duration = Duration::from_secs(30);

/// Long enough to see that something does not come; only ever makes a test miss a bug.
const SILENCE: Duration = Duration::from_millis(150);

/// A server that sends everything back, to every connection, as long as the process lives.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let mut reader = stream.try_clone().expect("a second handle");
                // Faults end it in many ways.
                let _ = std::io::copy(&mut reader, &mut stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn proxy(plan: FaultPlan) -> FaultProxy {
    FaultProxy::start(echo_server(), plan).expect("a proxy")
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("the proxy");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Says something and waits for the echo.
fn round_trip(stream: &mut TcpStream, said: &[u8]) -> Vec<u8> {
    stream.write_all(said).expect("to write");
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).expect("to read");
    heard
}

fn assert_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
    let error = stream.read(&mut [0; 1]).expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
}

fn assert_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0; 1]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

fn assert_ended(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0; 1]).expect("an end"), 0);
}

#[test]
fn without_faults_everything_gets_through() {
    let proxy = proxy(FaultPlan::new());
    let mut stream = connect(&proxy);
    let megabytes: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = megabytes.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    writing.join().unwrap();
    assert!(
        heard == megabytes,
        "{} bytes of {}",
        heard.len(),
        megabytes.len()
    );
    assert_eq!(proxy.forwarded(Toward::Host), 4_000_000);
    assert_eq!(proxy.forwarded(Toward::Client), 4_000_000);
    assert_eq!(proxy.connections(), 1);
    assert!(proxy.wait_for_open_connections(0, DEADLINE));
}

#[test]
fn latency_delays_each_way_and_jitter_keeps_the_order() {
    let latency = Duration::from_millis(40);
    let proxy = proxy(FaultPlan::new().latency(latency).jitter(latency).seed(3));
    let mut stream = connect(&proxy);
    let start = Instant::now();
    for said in [&b"one"[..], b"two", b"three"] {
        assert_eq!(round_trip(&mut stream, said), said);
    }
    assert!(start.elapsed() >= 6 * latency, "{:?}", start.elapsed());
    proxy.set_latency(Duration::from_millis(100));
    let start = Instant::now();
    round_trip(&mut stream, b"four");
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_throttled_line_is_not_faster_than_it_should_be() {
    let proxy = proxy(FaultPlan::new().bytes_per_second(100_000));
    let mut stream = connect(&proxy);
    let start = Instant::now();
    round_trip(&mut stream, &[1; 50_000]);
    assert!(
        start.elapsed() >= Duration::from_millis(450),
        "{:?}",
        start.elapsed()
    );
    proxy.set_bytes_per_second(None);
    round_trip(&mut stream, &[1; 50_000]);
}

#[test]
fn a_stall_holds_back_and_loses_nothing() {
    let proxy = proxy(FaultPlan::new());
    let mut old = connect(&proxy);
    round_trip(&mut old, b"before");
    proxy.stall();
    old.write_all(b"held back").unwrap();
    let mut new = connect(&proxy);
    new.write_all(b"too").unwrap();
    assert_silent(&mut old);
    assert_silent(&mut new);
    assert_eq!(proxy.forwarded(Toward::Host), 6);
    proxy.resume();
    let mut heard = [0; 9];
    old.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"held back");
    new.read_exact(&mut heard[..3]).unwrap();
    assert_eq!(&heard[..3], b"too");
}

#[test]
fn a_stall_hides_the_end_of_a_client() {
    let proxy = proxy(FaultPlan::new());
    let mut stream = connect(&proxy);
    round_trip(&mut stream, b"before");
    proxy.stall();
    drop(stream);
    thread::sleep(SILENCE);
    assert_eq!(proxy.open_connections(), 1);
    proxy.resume();
    assert!(proxy.wait_for_open_connections(0, DEADLINE));
}

#[test]
fn a_black_hole_never_gives_anything_back() {
    let proxy = proxy(FaultPlan::new());
    let mut old = connect(&proxy);
    round_trip(&mut old, b"before");
    proxy.blackhole();
    old.write_all(b"swallowed").unwrap();
    let mut unlucky = connect(&proxy);
    unlucky.write_all(b"swallowed").unwrap();
    assert_silent(&mut old);
    assert_silent(&mut unlucky);
    proxy.resume();
    old.write_all(b"still").unwrap();
    assert_silent(&mut old);
    assert_silent(&mut unlucky);
    let mut new = connect(&proxy);
    assert_eq!(round_trip(&mut new, b"after"), b"after");
    assert_eq!(proxy.forwarded(Toward::Host), 11);
}

#[test]
fn reset_close_and_refuse_at_run_time() {
    let proxy = proxy(FaultPlan::new());
    let mut stream = connect(&proxy);
    round_trip(&mut stream, b"one");
    proxy.reset();
    assert_reset(&mut stream);
    assert!(proxy.wait_for_open_connections(0, DEADLINE));

    let mut stream = connect(&proxy);
    round_trip(&mut stream, b"two");
    proxy.refuse();
    assert_reset(&mut connect(&proxy));
    round_trip(&mut stream, b"three");
    proxy.close();
    assert_ended(&mut stream);
    proxy.resume();
    round_trip(&mut connect(&proxy), b"four");
    assert_eq!(proxy.connections(), 4);
}

#[test]
fn faults_happen_at_their_byte() {
    for fault in [Fault::Reset, Fault::Close, Fault::Stall, Fault::Blackhole] {
        let proxy = proxy(FaultPlan::new().at(Toward::Client, 1000, fault));
        let mut stream = connect(&proxy);
        assert_eq!(round_trip(&mut stream, &[1; 900]), [1; 900]);
        stream.write_all(&[2; 900]).unwrap();
        assert!(proxy.wait_for_forwarded(Toward::Client, 1000, DEADLINE));
        // A reset may overtake what was received before it.
        if fault != Fault::Reset {
            let mut heard = [0; 100];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, [2; 100]);
        }
        match fault {
            Fault::Close => assert_ended(&mut stream),
            Fault::Stall | Fault::Blackhole => assert_silent(&mut stream),
            _ => {
                let mut rest = Vec::new();
                let error = stream.read_to_end(&mut rest).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            }
        }
        assert_eq!(proxy.forwarded(Toward::Client), 1000, "{fault:?}");
        // Once: what comes after is not struck again.
        proxy.resume();
        assert_eq!(round_trip(&mut connect(&proxy), &[3; 5000]), [3; 5000]);
    }
}

#[test]
fn a_flip_turns_one_bit_of_one_byte_the_same_for_a_seed() {
    let heard = |seed| {
        let plan = FaultPlan::new()
            .seed(seed)
            .at(Toward::Host, 500, Fault::Flip);
        round_trip(&mut connect(&proxy(plan)), &[0; 1000])
    };
    let first = heard(11);
    let turned: Vec<usize> = (0..1000).filter(|&at| first[at] != 0).collect();
    assert_eq!(turned, [500]);
    assert_eq!(first[500].count_ones(), 1);
    assert_eq!(heard(11), first);

    let proxy = proxy(FaultPlan::new());
    let mut stream = connect(&proxy);
    round_trip(&mut stream, b"before");
    proxy.after(Toward::Host, 2, Fault::Flip);
    let heard = round_trip(&mut stream, b"after");
    assert_eq!((&heard[..2], &heard[3..]), (&b"af"[..], &b"er"[..]));
    assert_ne!(heard[2], b't');
}

#[test]
fn fragments_arrive_whole_in_the_end() {
    let proxy = proxy(FaultPlan::new().fragmented().seed(5));
    let said: Vec<u8> = (0..20_000_u32).map(|i| (i % 253) as u8).collect();
    assert_eq!(round_trip(&mut connect(&proxy), &said), said);
}

#[test]
fn the_first_connections_are_closed() {
    let proxy = proxy(FaultPlan::new().close_first(2));
    assert_ended(&mut connect(&proxy));
    assert_ended(&mut connect(&proxy));
    round_trip(&mut connect(&proxy), b"third");
}

#[test]
fn random_plans_are_the_same_for_a_seed() {
    assert_eq!(FaultPlan::random(42), FaultPlan::random(42));
    let different = (0..100).filter(|&seed| FaultPlan::random(seed) != FaultPlan::random(42));
    assert!(different.count() >= 99);
}

#[test]
fn ssh_goes_through_the_proxy_of_a_host() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let proxy = host.through(FaultPlan::new().close_first(1)).unwrap();

    let closed = lab.ssh().args(["ws01", "echo reached"]).output().unwrap();
    let said = String::from_utf8_lossy(&closed.stderr);
    assert!(
        said.contains("kex_exchange_identification: Connection closed by remote host"),
        "{said}"
    );
    assert_eq!(host.connections(), 0);

    let reached = lab.ssh().args(["ws01", "echo reached"]).output().unwrap();
    assert_eq!(reached.stdout, b"reached\n");
    assert_eq!((proxy.connections(), host.connections()), (2, 1));

    let command = "echo started; exec sleep 1000";
    let mut client = lab.ssh();
    client.args([
        "-o",
        "ServerAliveInterval=1",
        "-o",
        "ServerAliveCountMax=1",
        "ws01",
        command,
    ]);
    let client = client
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut heard = [0; 8];
    client
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut heard)
        .unwrap();
    proxy.stall();
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not responding"), "{said}");
    // The host has not noticed.
    assert_eq!(
        host.processes()
            .iter()
            .filter(|process| process.name == "sleep")
            .count(),
        1
    );
    host.kill().unwrap();
}
