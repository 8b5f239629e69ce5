//! `haystack serve`: the HTTP API and the page.

use std::future::IntoFuture;

use super::{Error, Result, open};
use crate::api;
use crate::atlas::Atlas;
use crate::config::Config;
use crate::executor::Executor;
use crate::knowledge::Latest;

/// Nothing to choose; the section `server` of the configuration says where to listen.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Listens on http://127.0.0.1:8080, for this machine alone. PORT sets another port; the section \
                        [server] of the configuration can open it to other machines."
)]
pub struct Args {}

/// Serves until interrupted; requests under way are finished first.
pub async fn run(_: Args, config: Config) -> Result {
    let address = config.server.address;
    let url = config.server.public_url.clone();
    let database = open::database(&config).await?;
    let executor = Executor::local(&config)?;
    let objects = open::objects(&config)?;
    let at_work = api::settle_abandoned_runs(&database, &executor).await?.here.len();
    if at_work > 0 {
        tracing::info!("runs in progress on this machine when this server started: {at_work}");
    }
    api::watch_abandoned_runs(database.clone(), executor.clone());
    let (atlas, knowledge) =
        (Atlas::new(database.clone()).with_objects(objects.clone()), Latest::new(database.clone()));
    let parts = api::Parts { config, database, objects, executor, knowledge, atlas };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(|error| {
        Error::usage(format!("cannot listen on {address}: {error}")).hint("set PORT to a free port")
    })?;
    eprintln!("HAYSTACK answers on {url}");
    let served = axum::serve(listener, api::router(parts)).with_graceful_shutdown(stopped());
    served.into_future().await.map_err(Error::try_again)
}

async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}
