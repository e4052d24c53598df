//! One life of one child: begun on its thread, polled where a panic is caught, dropped where another one is.
//!
//! actix's own Supervisor does not outlive a panic; this is what stands in its place.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use actix::dev::ToEnvelope;
use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Notify, watch};

use crate::lifeline::Lifeline;
use crate::message::{Ping, Stop};
use crate::panics;

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, or as it was asked to.
    Normal,
    /// It gave up, and says why.
    GaveUp(String),
    /// It panicked, and said this.
    Panicked(String),
    /// It was ended by its supervisor.
    Killed,
    /// Its thread has gone.
    Lost,
}

impl Exit {
    fn of(end: Result<(), String>) -> Self {
        end.map_or_else(Self::Panicked, |()| Self::Normal)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped without being asked to"),
            Self::GaveUp(why) => f.write_str(why),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Killed => f.write_str("was ended"),
            Self::Lost => f.write_str("lost its thread"),
        }
    }
}

/// How far a life is asked to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Live,
    Stop,
    Kill,
}

/// The supervisor's wishes, as a child's body receives them.
pub struct Orders {
    order: watch::Receiver<Order>,
    ping: Arc<Notify>,
}

impl Orders {
    /// Waits until it is asked to finish in good order. Also ends when there is no supervisor any more.
    pub async fn stop(&mut self) {
        let _ = self.order.wait_for(|order| *order == Order::Stop).await;
    }

    async fn kill(&mut self) {
        let _ = self.order.wait_for(|order| *order == Order::Kill).await;
    }
}

/// A body that a child can be given again and again.
pub type Body = Arc<dyn Fn(Lifeline, Orders) -> LocalBoxFuture<'static, Exit> + Send + Sync>;

/// The body of an actor. Its context is polled right here, not by actix, so that its end can be seen.
pub fn actor<A>(make: impl Fn(Lifeline) -> A + Send + Sync + 'static) -> Body
where
    A: Actor<Context = Context<A>> + Handler<Stop> + Handler<Ping>,
    Context<A>: ToEnvelope<A, Stop> + ToEnvelope<A, Ping>,
{
    let make = Arc::new(make);
    Arc::new(move |lifeline, mut orders| {
        let make = make.clone();
        Box::pin(async move {
            let ctx = Context::new();
            let address = ctx.address();
            let mut life = Contained::new(ctx.into_future(make(lifeline)));
            let ping = orders.ping.clone();
            loop {
                tokio::select! {
                    biased;
                    end = &mut life => return Exit::of(end),
                    () = orders.stop() => break,
                    // A mailbox too full for a ping is a child that does not answer.
                    () = ping.notified() => drop(address.try_send(Ping)),
                }
            }
            // If not even this fits in, the actor cannot end by itself: it is ended here.
            if address.try_send(Stop).is_err() {
                return Exit::Killed;
            }
            Exit::of(life.await)
        })
    })
}

/// The body of a task: a future that works until `orders` say stop. It beats by itself.
pub fn task<F, E>(make: impl Fn(Lifeline, Orders) -> F + Send + Sync + 'static) -> Body
where
    F: Future<Output = Result<(), E>> + 'static,
    E: std::fmt::Display,
{
    let make = Arc::new(make);
    Arc::new(move |lifeline, orders| {
        let make = make.clone();
        Box::pin(async move {
            match make(lifeline, orders).await {
                Ok(()) => Exit::Normal,
                Err(error) => Exit::GaveUp(error.to_string()),
            }
        })
    })
}

/// The supervisor's end of one life.
pub struct Life {
    /// What the child tells.
    pub lifeline: Lifeline,
    order: watch::Sender<Order>,
    ping: Arc<Notify>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Life {
    /// Gives `body` a life on the thread of `arbiter`.
    pub fn begin(body: &Body, arbiter: &ArbiterHandle, lifeline: Lifeline) -> Self {
        let (order, orders) = watch::channel(Order::Live);
        let (told, exit) = watch::channel(None);
        let ping = Arc::new(Notify::new());
        let (body, line, heard) = (body.clone(), lifeline.clone(), ping.clone());
        arbiter.spawn_fn(move || {
            actix::spawn(async move {
                let exit = live(&body, line, Orders { order: orders, ping: heard }).await;
                told.send_replace(Some(exit));
            });
        });
        Self { lifeline, order, ping, exit }
    }

    /// Asks it to finish in good order.
    pub fn stop(&self) {
        self.order.send_replace(Order::Stop);
    }

    /// Ends it, whatever it is doing.
    pub fn kill(&self) {
        self.order.send_replace(Order::Kill);
    }

    /// Asks it to beat.
    pub fn ping(&self) {
        self.ping.notify_one();
    }

    /// Waits for its end.
    pub fn ended(&self) -> impl Future<Output = Exit> + use<> {
        let mut exit = self.exit.clone();
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or(Exit::Lost),
                Err(_) => Exit::Lost,
            }
        }
    }
}

async fn live(body: &Body, lifeline: Lifeline, orders: Orders) -> Exit {
    let mut death = Orders { order: orders.order.clone(), ping: orders.ping.clone() };
    let line = lifeline.clone();
    let life = Contained::new(async move { body(line, orders).await });
    let exit = tokio::select! {
        biased;
        () = death.kill() => Exit::Killed,
        end = life => end.unwrap_or_else(Exit::Panicked),
    };
    match (exit, lifeline.why()) {
        (Exit::Normal, Some(why)) => Exit::GaveUp(why),
        (exit, _) => exit,
    }
}

/// A future whose panics are its result. It is dropped where no other panic is under way: an actor's `stopping` and `drop`
/// run then, and a second panic in the midst of a first one would end the process.
struct Contained<F>(Option<Pin<Box<F>>>);

impl<F> Contained<F> {
    fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }

    /// Drops the future; a panic in that is the result.
    fn discard(&mut self) -> Result<(), String> {
        let future = self.0.take();
        catch_unwind(AssertUnwindSafe(|| drop(future))).map_err(|payload| panics::text(&*payload))
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(self.discard().map(|()| output)),
            Err(payload) => {
                // What it does to its end no longer matters: the first panic is the one to tell of.
                let _ = self.discard();
                Poll::Ready(Err(panics::text(&*payload)))
            }
        }
    }
}

impl<F> Drop for Contained<F> {
    fn drop(&mut self) {
        let _ = self.discard();
    }
}
