//! The cluster's client CA, followed: who rotates it restarts nothing here.

use std::{sync::Arc, time::Duration};

use upstream::ControlClient;

use crate::certificate::Certificates;

const READ_EVERY: Duration = Duration::from_secs(60);

/// Keeps [`Certificates`] at the cluster's client CA as it is now.
pub struct Authority {
    own: ControlClient,
    certificates: Arc<Certificates>,
    /// What was read last (PEM); empty before anything could be.
    trusted: String,
}

impl Authority {
    /// Reads the CA once. Where that fails, client certificates are refused until it can be read.
    pub async fn read(own: ControlClient, certificates: Arc<Certificates>) -> Self {
        let mut authority = Self { own, certificates, trusted: String::new() };
        authority.refresh().await;
        authority
    }

    /// Reads it again every minute, until it is dropped.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(READ_EVERY).await;
            self.refresh().await;
        }
    }

    /// Trusts the CA as it is now. What cannot be read changes nothing.
    async fn refresh(&mut self) {
        let failure = match self.own.client_ca().await {
            Ok(Some(pem)) if pem == self.trusted => return,
            Ok(Some(pem)) => match self.certificates.trust(&pem) {
                Ok(()) => {
                    self.trusted = pem;
                    return;
                }
                Err(error) => error,
            },
            Ok(None) => "extension-apiserver-authentication has no client-ca-file".to_owned(),
            Err(error) => error.to_string(),
        };
        let then = match self.trusted.is_empty() {
            true => "client certificates are refused",
            false => "the one that was read before stays in force",
        };
        tracing::warn!(error = failure, "the cluster's client CA cannot be read: {then}");
    }
}
