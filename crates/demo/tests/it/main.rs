//! End-to-end tests: the whole control loop on real Kafka and Flink, and the programs' response to bad
//! configurations.
//!
//! Most tests share one cluster, with one tenant each: topics, job, consumer group, drop and folders of their own. A
//! test declares how many of the cluster's slots it needs, and as many tests run at a time as slots allow. Tests that
//! kill or stop Kafka or Flink run exclusively, and those that need further services start their own cluster. Tests
//! start in the order below.
//!
//! The tests run under `libtest-mimic`, which supports the arguments and output of Rust's test harness. Ignored tests
//! take long and repeat what a shorter test covers; `-- --include-ignored` runs them as well.

#![expect(clippy::print_stderr, reason = "tests that take minutes report their progress")]

mod batches;
mod benchmark;
mod configurations;
mod documents;
mod engines;
mod exactness;
mod gate;
mod guarded;
mod harness;
mod in_process;
mod kafka_tls;
mod kill_between;
mod load;
mod metric_sources;
mod rescale_under_load;
mod rows;
mod savepoints;
mod scale_out_and_in;
mod services;
mod slow_broker;
mod state_in_hdfs;

use std::process::ExitCode;
use std::sync::Arc;

use engines::{Engines, Needs, test};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let engines = match Engines::new() {
        Ok(engines) => Arc::new(engines),
        Err(error) => {
            eprintln!("the tests cannot begin: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let trials = trials(&engines);
    // Each test waits for its turn in its own thread.
    arguments.test_threads.get_or_insert(trials.len());
    let conclusion = libtest_mimic::run(&arguments, trials);
    engines.shutdown(conclusion.has_failed());
    conclusion.exit_code()
}

fn trials(engines: &Arc<Engines>) -> Vec<Trial> {
    let mut all = without_engines();
    all.extend(with_engines(engines));
    all.extend(full(engines));
    all
}

fn without_engines() -> Vec<Trial> {
    let quick = |name: &str, body: fn() -> anyhow::Result<()>| {
        Trial::test(name, move || body().map_err(|error| format!("{error:#}").into()))
    };
    vec![
        quick("configurations::unknown_keys_are_refused", configurations::unknown_keys_are_refused),
        quick("configurations::a_negative_rate_is_refused", configurations::a_negative_rate_is_refused),
        quick(
            "configurations::a_parallelism_above_the_maximum_is_refused",
            configurations::a_parallelism_above_the_maximum_is_refused,
        ),
        quick("configurations::a_senseless_epoch_is_refused", configurations::a_senseless_epoch_is_refused),
        quick(
            "rows::lost_doubled_changed_and_disordered_rows_are_found",
            rows::lost_doubled_changed_and_disordered_rows_are_found,
        ),
    ]
}

fn with_engines(engines: &Arc<Engines>) -> Vec<Trial> {
    let alone = Needs::Everything;
    vec![
        test(engines, "metric_sources", alone, metric_sources::all_sources_see_the_same_job),
        test(engines, "state_in_hdfs", alone, state_in_hdfs::all_sources_weigh_the_same_state),
        test(engines, "rescale_under_load", Needs::Slots(6), rescale_under_load::a_rescale_loses_nothing),
        test(engines, "in_process", Needs::Slots(6), in_process::one_process_scales_a_foreign_job),
        test(engines, "guarded", Needs::Slots(4), guarded::signed_documents_pass_and_forged_ones_do_not),
        test(engines, "kill_between", Needs::Slots(6), kill_between::a_killed_agent_finishes_what_it_began),
        test(engines, "example", Needs::Slots(4), in_process::an_example_of_flink_is_narrowed_by_ds2),
        test(engines, "kafka_tls", Needs::Slots(2), kafka_tls::records_arrive_over_tls_and_logins),
        test(engines, "documents", Needs::Slots(2), documents::a_bad_document_starts_no_job),
        test(engines, "ordered", Needs::Slots(4), exactness::queries_that_depend_on_order_are_exact),
        test(engines, "savepoint", Needs::Slots(10), savepoints::a_savepoint_goes_on_at_another_parallelism),
        test(engines, "scale_out_and_in", alone, scale_out_and_in::a_task_manager_comes_and_goes),
        test(engines, "exactness", alone, exactness::both_benchmarks_are_exact_after_restart_and_death),
        test(engines, "batches", alone, batches::nothing_is_lost_or_doubled),
        test(engines, "slow_broker", alone, slow_broker::a_slow_broker_gets_its_share),
        test(engines, "services", alone, services::task_managers_and_topics_come_and_go),
    ]
}

/// Tests that run only with `--include-ignored`.
fn full(engines: &Arc<Engines>) -> Vec<Trial> {
    let alone = Needs::Everything;
    let mut all = vec![
        test(engines, "full_metric_sources", alone, metric_sources::all_sources_agree_over_a_minute),
        test(engines, "full_savepoint", alone, savepoints::a_savepoint_goes_on_at_every_parallelism),
    ];
    all.extend(exactness::EVERY_SITUATION.map(|(name, situation)| {
        test(engines, name, alone, move |context| exactness::run_both(context, situation))
    }));
    all.into_iter().map(|trial| trial.with_ignored_flag(true)).collect()
}
