//! How many connections there are at a time, in all and of one client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use super::refusal::Refusal;

/// What one client has.
#[derive(Debug)]
struct Client {
    connections: usize,
    /// How many names are looked up for it: longer than its connections are there, perhaps.
    looking_up: usize,
    lookups: Arc<Semaphore>,
}

/// All places of a proxy.
#[derive(Debug)]
pub struct Places {
    limits: Limits,
    connections: Arc<Semaphore>,
    onward: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    farewells: Arc<Semaphore>,
    clients: Mutex<BTreeMap<IpAddr, Client>>,
}

/// The place of one connection of a client. Its end makes room.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    client: IpAddr,
    /// How many names are looked up for the client at a time.
    lookups: Arc<Semaphore>,
    _connection: OwnedSemaphorePermit,
}

/// The place of a name that is looked up.
#[derive(Debug)]
pub struct Lookup {
    places: Arc<Places>,
    client: IpAddr,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Places {
    /// All free.
    pub fn new(limits: Limits) -> Arc<Self> {
        let of = |places| Arc::new(Semaphore::new(places));
        Arc::new(Self {
            limits,
            connections: of(limits.onward + limits.reserved),
            onward: of(limits.onward),
            lookups: of(limits.lookups),
            farewells: of(limits.reserved),
            clients: Mutex::default(),
        })
    }

    /// A place for a connection that has come.
    pub fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Place, Refusal> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = clients.get(&client).map_or(0, |client| client.connections);
        if taken >= self.limits.of_client {
            return Err(Refusal::ClientFull(taken));
        }
        let connection = Arc::clone(&self.connections).try_acquire_owned().map_err(|_| Refusal::Full)?;
        let new = || Client { connections: 0, looking_up: 0, lookups: Arc::new(Semaphore::new(self.limits.lookups_of_client)) };
        let entry = clients.entry(client).or_insert_with(new);
        entry.connections += 1;
        Ok(Place { places: Arc::clone(self), client, lookups: Arc::clone(&entry.lookups), _connection: connection })
    }

    /// Changes what a client has, and forgets a client that has nothing.
    fn change(&self, address: IpAddr, change: impl FnOnce(&mut Client)) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get_mut(&address) {
            change(client);
            if client.connections == 0 && client.looking_up == 0 {
                clients.remove(&address);
            }
        }
    }

    /// Room for the last words to a connection that has no place. `None`: it goes without.
    pub fn farewell(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.farewells).try_acquire_owned().ok()
    }
}

impl Place {
    /// A place on the way to the Internet. The cluster's secret needs none: nodes boot however much others fetch.
    pub fn onward(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places.onward).try_acquire_owned().map_err(|_| Refusal::Full)
    }

    /// Waits for room to look up a name. First among the client's own, so that a client whose names are slow waits for itself.
    pub async fn lookup(&self) -> Option<Lookup> {
        let own = Arc::clone(&self.lookups).acquire_owned().await.ok()?;
        let permits = [own, Arc::clone(&self.places.lookups).acquire_owned().await.ok()?];
        self.places.change(self.client, |client| client.looking_up += 1);
        Some(Lookup { places: Arc::clone(&self.places), client: self.client, _permits: permits })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.change(self.client, |client| client.connections -= 1);
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.places.change(self.client, |client| client.looking_up -= 1);
    }
}
