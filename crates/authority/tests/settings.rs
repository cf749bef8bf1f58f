//! The one check of the settings.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{Command, FormerSpans, Reason, Settings, SettingsChange, WhenBehind};
use proptest::prelude::*;
use support::{World, settings};

/// The settings that a change breaks, and the arithmetic of the first.
fn broken(change: impl FnOnce(&mut Settings)) -> (Vec<&'static str>, String) {
    let mut settings = settings();
    change(&mut settings);
    let broken = settings.check().unwrap_err();
    let names = broken.iter().map(|inequality| inequality.setting).collect();
    (names, broken[0].to_string())
}

#[test]
fn the_defaults_hold_and_have_the_derived_spans_of_the_design() {
    let settings = settings();
    assert_eq!(settings.check(), Ok(()));
    assert_eq!(settings.w_ms(), 2_445, "2000 * 11/9 = 2444.4, rounded up");
    assert_eq!(
        settings.rotation_lead_ms(),
        2_445 + 73_334,
        "W, and 60 s by a slow clock, rounded up"
    );
    assert_eq!(
        settings.issuer_expiry_ms(),
        1_102_445 + 2_445,
        "902 s by a slow clock, rounded up, after W"
    );
    assert_eq!(settings.times_kappa(9), 11);
    assert_eq!(settings.times_kappa(1), 2, "never less than the truth");
    assert_eq!(settings.times_kappa(u64::MAX), u64::MAX);
}

#[test]
fn each_rule_says_its_arithmetic() {
    let (names, text) = broken(|settings| settings.freshness_ms = 1_899);
    assert_eq!(names, ["freshness_ms"]);
    assert_eq!(
        text,
        "freshness_ms is 1899, and must be at least 3*election_max_ms + 2*tick_ms + 300 = \
         1500 + 100 + 300 = 1900"
    );
    let (names, text) = broken(|settings| settings.rho_percent = 5);
    assert_eq!(names, ["rho_percent"]);
    assert!(text.contains("must be 10"), "{text}");
    let (names, text) = broken(|settings| settings.ttl_cap_s = 3_600);
    assert_eq!(names, ["ttl_cap_s"]);
    assert!(text.contains("an hour less one = 3599"), "{text}");
    let (names, _) = broken(|settings| settings.ttl_default_s = 901);
    assert_eq!(names, ["ttl_default_s"]);
    let (names, _) = broken(|settings| settings.ttl_default_s = 0);
    assert_eq!(names, ["ttl_default_s"]);
    let (names, text) = broken(|settings| settings.v_default_ms = 5_001);
    assert_eq!(names, ["v_default_ms"]);
    assert!(text.contains("v_max_ms = 5000"), "{text}");
    let (names, text) = broken(|settings| settings.v_default_ms = 2_444);
    assert_eq!(names, ["v_default_ms"]);
    assert!(text.contains("2000*11/9 = 2445"), "{text}");
    let (names, text) = broken(|settings| settings.epoch_s = 151);
    assert_eq!(names, ["epoch_s"]);
    assert!(
        text.contains("2*max(6112, 2445 + 73334) = 151558 ms"),
        "{text}"
    );
    let (names, _) = broken(|settings| settings.election_max_ms = 300);
    assert_eq!(names, ["election_max_ms"]);
    let (names, _) = broken(|settings| settings.heartbeat_ms = 101);
    assert_eq!(names, ["election_min_ms"]);
    let (names, _) = broken(|settings| settings.leeway_s = 61);
    assert_eq!(names, ["leeway_s"]);
}

#[test]
fn the_bounds_are_sharp() {
    for sound in [
        |settings: &mut Settings| settings.freshness_ms = 1_900,
        |settings: &mut Settings| settings.ttl_cap_s = 3_599,
        |settings: &mut Settings| settings.ttl_default_s = 900,
        |settings: &mut Settings| settings.v_default_ms = 2_445,
        |settings: &mut Settings| settings.epoch_s = 152,
        |settings: &mut Settings| settings.heartbeat_ms = 100,
    ] {
        let mut settings = settings();
        sound(&mut settings);
        assert_eq!(settings.check(), Ok(()));
    }
}

#[test]
fn short_epochs_would_use_up_the_issuers() {
    let (names, text) = broken(|settings| {
        settings.jwks_max_age_s = 5;
        settings.epoch_s = 30;
    });
    assert_eq!(names, ["epoch_s", "epoch_s"][..names.len()]);
    assert!(text.contains("epochs can be unexpired at once"), "{text}");
    let mut brisk = settings();
    brisk.jwks_max_age_s = 5;
    brisk.epoch_s = 95;
    assert_eq!(brisk.check(), Ok(()));
}

#[test]
fn the_issuer_url_is_one() {
    for bad in [
        "",
        "https://",
        "https:///path",
        "http://example.org",
        "https://a b",
        "https://a?b",
        "https://a#b",
        "https://\u{e9}",
    ] {
        let (names, _) = broken(|settings| settings.issuer_url = bad.to_owned());
        assert_eq!(names, ["issuer_url"], "{bad}");
    }
    let long = format!("https://{}", "x".repeat(249));
    let (names, _) = broken(|settings| settings.issuer_url = long);
    assert_eq!(names, ["issuer_url"]);
}

#[test]
fn settings_are_changed_by_command_and_checked_there() {
    let mut world = World::born();
    let cap = |ttl_cap_s| {
        Command::SetSettings(SettingsChange {
            ttl_cap_s: Some(ttl_cap_s),
            ..SettingsChange::default()
        })
    };
    world.must("root", cap(600));
    let mut next = settings();
    next.ttl_cap_s = 600;
    assert_eq!(**world.state.settings().unwrap(), next);
    let published = world.consumers.directory.settings().unwrap();
    assert_eq!(*published, next);

    let rejection = world.by("root", cap(3_600)).unwrap_err();
    assert_eq!(rejection.reason(), Reason::SettingsUnsound);
    assert!(
        rejection.to_string().contains("ttl_cap_s is 3600"),
        "{rejection}"
    );
    assert_eq!(**world.state.settings().unwrap(), next);
}

fn spans(freshness_ms: u64, v_max_ms: u64, jwks_max_age_s: u64) -> Command {
    Command::SetSettings(SettingsChange {
        freshness_ms: Some(freshness_ms),
        v_max_ms: Some(v_max_ms),
        jwks_max_age_s: Some(jwks_max_age_s),
        ..SettingsChange::default()
    })
}

/// Somebody may still hold a proof, a subscription or a JWKS of before, and whoever
/// leads next has to know that too.
#[test]
fn a_span_that_was_shortened_counts_until_it_has_run_out() {
    let mut world = World::born();
    world.must("root", spans(3_000, 9_000, 600));
    let long = world.state.settings().unwrap().clone();
    assert_eq!(long.former, FormerSpans::default(), "they only grew");
    world.must("root", spans(2_000, 5_000, 30));
    let since = world.state.revision();
    let short = world.state.settings().unwrap().clone();
    assert_eq!((short.freshness_ms, short.jwks_max_age_s), (2_000, 30));
    assert_eq!(short.w_ms(), long.w_ms());
    assert_eq!(short.rotation_lead_ms(), long.rotation_lead_ms());
    assert_eq!(short.issuer_expiry_ms(), long.issuer_expiry_ms());
    assert_eq!(short.former.since, since);

    // Longer again, and not as long: what was before counts from where it was.
    world.must("root", spans(2_000, 5_000, 60));
    let between = world.state.settings().unwrap().clone();
    assert_eq!(between.former, short.former);
    assert_ne!(world.state.revision(), since);
    // What is as long as before covers it.
    world.must("root", spans(2_000, 5_000, 600));
    let covered = world.state.settings().unwrap().former;
    assert_eq!((covered.freshness_ms, covered.jwks_max_age_s), (3_000, 0));

    world.must("root", spans(2_000, 5_000, 45));
    let latest = world.state.revision();
    world.must("node:1", Command::ForgetFormer(since));
    let kept = world.state.settings().unwrap().former;
    assert_eq!(
        (kept.since, kept.jwks_max_age_s),
        (latest, 600),
        "of another change"
    );
    world.must("node:1", Command::ForgetFormer(latest));
    let forgotten = world.state.settings().unwrap().clone();
    assert_eq!(forgotten.former, FormerSpans::default());
    assert_eq!(forgotten.w_ms(), forgotten.times_kappa(2_000));
    let published = world.consumers.directory.settings().unwrap();
    assert_eq!(published, forgotten);
}

/// Two leads of the caches that are still out there.
#[test]
fn epochs_are_not_shortened_before_the_caches_have_run_out() {
    let mut world = World::born();
    let change = || {
        Command::SetSettings(SettingsChange {
            jwks_max_age_s: Some(5),
            epoch_s: Some(100),
            ..SettingsChange::default()
        })
    };
    let rejection = world.by("root", change()).unwrap_err();
    assert_eq!(rejection.reason(), Reason::SettingsUnsound);
    let told = rejection.to_string();
    assert!(
        told.contains("2*max(6112, 2445 + 73334)") && told.contains("set this later"),
        "{told}"
    );
    world.must("root", spans(2_000, 5_000, 5));
    let since = world.state.revision();
    assert_eq!(world.refused("root", change()), Reason::SettingsUnsound);
    world.must("node:1", Command::ForgetFormer(since));
    world.must("root", change());
}

/// Each changes what they want changed, whatever the other did meanwhile.
#[test]
fn two_operators_do_not_undo_each_other() {
    let mut world = World::born();
    world.must(
        "root",
        Command::SetSettings(SettingsChange {
            ttl_cap_s: Some(600),
            ..SettingsChange::default()
        }),
    );
    world.must(
        "root",
        Command::SetSettings(SettingsChange {
            epoch_s: Some(1_800),
            ..SettingsChange::default()
        }),
    );
    let settings = world.state.settings().unwrap();
    assert_eq!((settings.ttl_cap_s, settings.epoch_s), (600, 1_800));
}

#[test]
fn the_rules_are_told_whether_they_are_kept_or_not() {
    let rules = settings().rules();
    assert!(rules.iter().all(|rule| rule.holds), "{rules:?}");
    let freshness = rules.iter().find(|rule| rule.setting == "freshness_ms");
    assert_eq!(
        freshness.unwrap().arithmetic,
        "is 2000, and must be at least 3*election_max_ms + 2*tick_ms + 300 = 1500 + 100 + 300 = \
         1900"
    );
    let mut broken = settings();
    broken.freshness_ms = 1_000;
    let rules = broken.rules();
    let names: Vec<_> = (rules.iter().filter(|rule| !rule.holds))
        .map(|rule| rule.setting)
        .collect();
    assert_eq!(names, ["freshness_ms"]);
}

proptest! {
    /// Whatever the numbers: no overflow, and what passes keeps the promises that
    /// the proofs rest on.
    #[test]
    fn what_passes_is_sound(numbers in prop::array::uniform13(prop_oneof![
        0..10_000_u64, Just(u64::MAX), any::<u64>(),
    ])) {
        let [freshness, rho, tick, heartbeat, least, most, v, v_max, leeway, ttl, cap, age, epoch] = numbers;
        let mut settings = settings();
        settings.freshness_ms = freshness;
        settings.rho_percent = if rho % 2 == 0 { 10 } else { rho };
        settings.tick_ms = tick;
        settings.heartbeat_ms = heartbeat;
        settings.election_min_ms = least;
        settings.election_max_ms = most;
        settings.v_default_ms = v;
        settings.v_max_ms = v_max;
        settings.leeway_s = leeway;
        settings.ttl_default_s = ttl;
        settings.ttl_cap_s = cap;
        settings.jwks_max_age_s = age;
        settings.epoch_s = epoch;
        if settings.check().is_ok() {
            prop_assert!(freshness >= 3 * most + 2 * tick + 300);
            prop_assert!(settings.w_ms() * 9 >= freshness * 11);
            prop_assert!(9 * (settings.rotation_lead_ms() - settings.w_ms()) >= 11 * age * 1_000);
            prop_assert!(ttl <= cap && cap < 3_600);
            prop_assert!(v <= v_max);
        }
    }
}

#[test]
fn what_becomes_of_mints_without_a_record_is_part_of_the_state() {
    let mut world = World::born();
    assert_eq!(settings().records_when_behind, WhenBehind::Refuse);
    let mut digests = Vec::new();
    for when_behind in WhenBehind::ALL {
        let change = SettingsChange {
            records_when_behind: Some(when_behind),
            ..SettingsChange::default()
        };
        let mut other = World::born();
        other.must("root", Command::SetSettings(change.clone()));
        digests.push(other.state.digest());
        world.must("root", Command::SetSettings(change));
        let published = world.consumers.directory.settings().unwrap();
        assert_eq!(published.records_when_behind, when_behind);
        assert_eq!(when_behind.as_str().parse(), Ok(when_behind));
    }
    assert_ne!(digests[0], digests[1]);
    assert!("maybe".parse::<WhenBehind>().is_err());
}
