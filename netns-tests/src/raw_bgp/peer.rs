//! A session of our own: its OPEN, its life, its threads.

use super::codec::{self, Announced, Said, complete};
use super::heard::{Ear, Heard};
use lab::{Cidr, Deadline, LabError, Namespace, Stack, eventually};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use zettabgp::prelude::{BgpCapGR, BgpCapability};

/// How long each step of opening a session may take.
const STEP: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read at once.
const CHUNK: usize = 256 << 10;

/// How to open a session.
#[derive(Debug, Clone)]
pub struct RawSetup {
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// The port of whoever listens.
    pub port: u16,
    /// Our AS.
    pub asn: u32,
    /// Our BGP identifier.
    pub router_id: Ipv4Addr,
    /// The hold time that we offer, in seconds; 0: none.
    pub hold_time: u16,
    /// Whether we wait for the peer to connect.
    pub passive: bool,
    /// The families that we offer.
    pub families: Stack,
    /// Graceful restart: for how many seconds the peer shall keep what we announced, and whether we have just restarted.
    pub graceful_restart: Option<(u16, bool)>,
    /// How closely we listen.
    pub ear: Ear,
}

/// A session that lasts until this value is dropped, or the peer ends it.
#[derive(Debug)]
pub struct RawPeer {
    stream: TcpStream,
    writer: Arc<Mutex<TcpStream>>,
    heard: Arc<Mutex<Heard>>,
    peer_as: u32,
    threads: Vec<JoinHandle<()>>,
}

/// Bytes on their way from a thread of their own.
#[derive(Debug)]
pub struct Sending {
    /// When the first of them was given to TCP.
    pub began: Instant,
    thread: JoinHandle<io::Result<()>>,
}

impl RawSetup {
    /// A session from `local` to the port 179 of `remote` for IPv4, which listens to everything.
    pub fn new(local: IpAddr, remote: IpAddr, asn: u32) -> Self {
        Self {
            local,
            remote,
            port: 179,
            asn,
            router_id: match local {
                IpAddr::V4(address) => address,
                IpAddr::V6(_) => Ipv4Addr::new(192, 0, 2, 179),
            },
            hold_time: 90,
            passive: false,
            families: Stack::V4,
            graceful_restart: None,
            ear: Ear::Every,
        }
    }

    fn open(&self) -> Vec<u8> {
        let mut families = Vec::new();
        if self.families.has_v4() {
            families.push(BgpCapability::SafiIPv4u);
        }
        if self.families.has_v6() {
            families.push(BgpCapability::SafiIPv6u);
        }
        let kept = families.iter().cloned();
        let kept = kept.filter_map(|family| BgpCapGR::new_from_cap(family, true).ok());
        let restart = self.graceful_restart.map(|(restart_time, restart_state)| {
            let afis = kept.collect();
            BgpCapability::CapGR {
                restart_time,
                restart_state,
                afis,
            }
        });
        let others = [BgpCapability::CapRR, BgpCapability::CapASN32(self.asn)];
        let all = families.into_iter().chain(others).chain(restart);
        codec::open(self.asn, self.hold_time, self.router_id, all.collect())
    }
}

impl RawPeer {
    /// Opens the session inside `namespace`; tries again until `patience` is over.
    pub fn open(
        namespace: &Namespace,
        setup: &RawSetup,
        patience: Duration,
    ) -> Result<Self, LabError> {
        let listener = match setup.passive {
            true => Some(
                namespace
                    .run(|| listen(setup))?
                    .map_err(|source| refused(setup, source))?,
            ),
            false => None,
        };
        let deadline = Deadline::after(patience);
        loop {
            let connected = match &listener {
                Some(listener) => accept(listener, setup.remote),
                None => namespace.run(|| connect(setup))?,
            };
            match connected.and_then(|stream| shake_hands(stream, setup)) {
                Ok((stream, rest, hold_time, peer_as)) => {
                    return Self::established(setup, stream, (rest, hold_time, peer_as))
                        .map_err(|source| refused(setup, source));
                }
                Err(source) if deadline.has_passed() => return Err(refused(setup, source)),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn established(
        setup: &RawSetup,
        stream: TcpStream,
        (rest, hold_time, peer_as): (Vec<u8>, u16, u32),
    ) -> io::Result<Self> {
        stream.set_read_timeout(None)?;
        let writer = Arc::new(Mutex::new(stream.try_clone()?));
        let heard = Arc::new(Mutex::new(Heard::new(setup.ear)));
        let listening = thread::spawn({
            let (stream, heard) = (stream.try_clone()?, Arc::clone(&heard));
            move || listen_to(stream, rest, &heard)
        });
        let mut threads = vec![listening];
        if hold_time > 0 {
            let (writer, heard) = (Arc::clone(&writer), Arc::clone(&heard));
            let pace = Duration::from_secs(hold_time.into()) / 3;
            threads.push(thread::spawn(move || keep_alive(&writer, &heard, pace)));
        }
        Ok(Self {
            stream,
            writer,
            heard,
            peer_as,
            threads,
        })
    }

    /// The AS that the peer says to be of.
    pub fn peer_as(&self) -> u32 {
        self.peer_as
    }

    /// What the peer has told so far. Hold it briefly: nothing more is heard meanwhile.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    /// Waits until `is_so` of what the peer has told.
    pub fn hears(
        &self,
        what: &str,
        patience: Duration,
        is_so: impl Fn(&Heard) -> bool,
    ) -> Result<(), LabError> {
        eventually(what, patience, || is_so(&self.heard())).map_err(|error| match error {
            LabError::TimedOut { what, waited, .. } => LabError::TimedOut {
                what,
                waited,
                detail: format!("; heard: {:?}", self.heard()),
            },
            other => other,
        })
    }

    /// Announces these prefixes, all of one family, in one UPDATE.
    ///
    /// # Panics
    ///
    /// When one of them is no prefix.
    pub fn announce(&self, prefixes: &[&str], route: &Announced) -> Result<(), LabError> {
        self.send(&codec::announce(&parse(prefixes), route))
    }

    /// Withdraws these prefixes, all of one family, in one UPDATE.
    ///
    /// # Panics
    ///
    /// When one of them is no prefix.
    pub fn withdraw(&self, prefixes: &[&str]) -> Result<(), LabError> {
        self.send(&codec::withdraw(&parse(prefixes)))
    }

    /// Says that this was all (RFC 4724).
    pub fn end_of_rib(&self, ipv6: bool) -> Result<(), LabError> {
        self.send(&codec::end_of_rib(ipv6))
    }

    /// Asks to announce everything again (RFC 2918).
    pub fn refresh(&self, ipv6: bool) -> Result<(), LabError> {
        self.send(&codec::route_refresh(ipv6))
    }

    /// Ends the session with this reason.
    pub fn notify(&self, code: u8, subcode: u8) -> Result<(), LabError> {
        self.send(&codec::notification(code, subcode))
    }

    /// Sends any bytes.
    pub fn send(&self, bytes: &[u8]) -> Result<(), LabError> {
        let sent = lock(&self.writer).write_all(bytes);
        sent.map_err(|source| LabError::System {
            what: "write to a BGP session".into(),
            source,
        })
    }

    /// Sends bytes from a thread of their own, as fast as TCP takes them.
    pub fn send_all(&self, bytes: Arc<Vec<u8>>) -> Sending {
        let writer = Arc::clone(&self.writer);
        Sending {
            began: Instant::now(),
            thread: thread::spawn(move || lock(&writer).write_all(&bytes)),
        }
    }
}

impl Sending {
    /// Waits until TCP has taken all.
    pub fn finish(self) -> Result<(), LabError> {
        let sent = self.thread.join();
        let sent = sent.unwrap_or_else(|_| Err(io::Error::other("the sending thread ended")));
        sent.map_err(|source| LabError::System {
            what: "write a load to a BGP session".into(),
            source,
        })
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        lock(&self.heard).closed = true;
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse(prefixes: &[&str]) -> Vec<Cidr> {
    let parsed = prefixes.iter().map(|prefix| prefix.parse());
    parsed
        .map(|prefix| prefix.expect("a test names valid prefixes"))
        .collect()
}

fn refused(setup: &RawSetup, source: io::Error) -> LabError {
    LabError::System {
        what: format!(
            "open a BGP session of {} with {}",
            setup.local, setup.remote
        ),
        source,
    }
}

fn listen(setup: &RawSetup) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::new(setup.local, setup.port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Others who connect are sent away.
fn accept(listener: &TcpListener, remote: IpAddr) -> io::Result<TcpStream> {
    let (stream, from) = listener.accept()?;
    if from.ip() != remote {
        return Err(io::Error::other(format!("{from} connected")));
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn connect(setup: &RawSetup) -> io::Result<TcpStream> {
    let local = SocketAddr::new(setup.local, 0);
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, None)?;
    socket.bind(&local.into())?;
    let remote = SocketAddr::new(setup.remote, setup.port);
    socket.connect_timeout(&remote.into(), STEP)?;
    Ok(socket.into())
}

/// OPEN and KEEPALIVE in both directions. Returns what was read beyond them, the hold time of the session and the peer's AS.
fn shake_hands(
    mut stream: TcpStream,
    setup: &RawSetup,
) -> io::Result<(TcpStream, Vec<u8>, u16, u32)> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.write_all(&setup.open())?;
    let mut rest = Vec::new();
    let (asn, hold_time) = match codec::read(&next(&mut stream, &mut rest)?) {
        Said::Open { asn, hold_time } => (asn, hold_time.min(setup.hold_time)),
        said => return Err(io::Error::other(format!("no OPEN but {said:?}"))),
    };
    stream.write_all(&codec::keepalive())?;
    match codec::read(&next(&mut stream, &mut rest)?) {
        Said::Keepalive => Ok((stream, rest, hold_time, asn)),
        said => Err(io::Error::other(format!("no KEEPALIVE but {said:?}"))),
    }
}

/// Reads one message; what is read beyond it stays in `rest`.
fn next(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(length) = complete(rest) {
            let behind = rest.split_off(length);
            return Ok(std::mem::replace(rest, behind));
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => rest.extend_from_slice(&buffer[..length]),
        }
    }
}

fn listen_to(mut stream: TcpStream, mut rest: Vec<u8>, heard: &Mutex<Heard>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        take_in(&mut rest, heard);
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => rest.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    lock(heard).closed = true;
}

fn take_in(bytes: &mut Vec<u8>, heard: &Mutex<Heard>) {
    let (mut at, mut heard) = (0, lock(heard));
    while let Some(length) = complete(&bytes[at..]) {
        heard.message(&bytes[at..at + length]);
        at += length;
    }
    bytes.drain(..at);
}

fn keep_alive(writer: &Mutex<TcpStream>, heard: &Mutex<Heard>, pace: Duration) {
    while !lock(heard).closed {
        if lock(writer).write_all(&codec::keepalive()).is_err() {
            return;
        }
        thread::park_timeout(pace);
    }
}
