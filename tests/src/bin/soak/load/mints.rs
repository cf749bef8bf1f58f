//! Mints at a pace, over all nodes.

use std::time::{Duration, Instant};

use chancery_tests::agent::wanted;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};

use super::{Held, Load, each};

/// Mints under way at once; more are not offered on a machine that is too slow.
const UNDER_WAY: usize = 256;
const BEAT: Duration = Duration::from_millis(10);

pub async fn mint(load: &Load<'_>) {
    let mut pace = each(BEAT);
    let mut under_way = FuturesUnordered::new();
    let (began, mut offered) = (Instant::now(), 0);
    while !load.is_over() {
        pace.tick().await;
        while let Some(Some(())) = under_way.next().now_or_never() {}
        let due = began.elapsed().as_millis() * u128::from(load.rate) / 1_000;
        while offered < usize::try_from(due).unwrap() {
            let turn = offered;
            offered += 1;
            if under_way.len() == UNDER_WAY {
                load.skip("mint");
                continue;
            }
            let caller = &load.steady[turn % load.steady.len()];
            let began = Instant::now();
            // On its own task, so that it goes on while nobody waits for it.
            let client = caller.client.clone();
            let minting = tokio::spawn(async move { client.mint(wanted()).await });
            under_way.push(async move {
                let minted = minting.await.unwrap();
                if let Some(minted) = load.tally.note("mint", began, minted) {
                    load.keep(Held::of(minted, caller));
                }
            });
        }
    }
    while under_way.next().await.is_some() {}
}
