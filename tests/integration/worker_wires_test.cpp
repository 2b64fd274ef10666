// Goal: the way between a remote worker and its servers may break anywhere, be slow, encrypted, or
// lead to another server; no run is harmed.

#include "tests/integration/worker_world.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>

namespace runledger::contract {
namespace {

using namespace std::chrono_literals;

std::string prompt_run(const worker_world& w, const std::string& prompt) {
  auto asking = w.client();
  return asking.post("/api/v1/agents/remote/runs", R"({"prompt":")" + prompt + "\"}")["id"];
}

// Goal: a run whose beginning was cut off goes on elsewhere, and the worker to which it did not
// come whole has nothing of it any more: it ends at once when it is asked to.
TEST(worker_wires, a_beginning_that_is_cut_off_is_over) {
  worker_world w{{"--workers.lease", "2s"}};
  ASSERT_TRUE(w.start());
  auto first = w.work();
  ASSERT_TRUE(w.await_events("queue.worker_joined", w.queue, 1)) << first->printed();
  w.way.cut_after(200'000);
  const auto run = prompt_run(w, std::string(600'000, 'p'));
  ASSERT_TRUE(eventually([&] { return w.way.cuts() == 1; }));
  w.way.target(0); // It comes back when another has the run.
  ASSERT_TRUE(w.await_events("queue.lease_expired", w.queue, 1));
  auto second = w.work({}, {}, "http://127.0.0.1:" + std::to_string(w.server.port()));
  EXPECT_EQ(w.end_of(run)["status"], "succeeded") << second->printed();
  EXPECT_NE(first->printed().find("its beginning was cut off"), std::string::npos)
      << first->printed();
  w.way.target(w.server.port());
  ASSERT_TRUE(w.await_events("queue.worker_joined", w.queue, 3)) << first->printed();
  first->signal(SIGTERM);
  const auto end = first->await_end(10s);
  ASSERT_TRUE(end) << first->printed();
  EXPECT_EQ(end->code, 0);
}

// Goal: the example in Python outlives answers that are cut off in the middle.
TEST(worker_wires, the_example_in_python_survives_half_an_answer) {
  worker_world w;
  ASSERT_TRUE(w.start());
  test::program worker{{"/usr/bin/python3", "-B",
                        RUNLEDGER_SOURCE_DIR "/examples/workers/python/worker.py", w.url(), "q"},
                       {{"RUNLEDGER_API_KEY", w.worker_key}},
                       w.folder / "python.printed"};
  ASSERT_TRUE(w.await_events("queue.worker_joined", w.queue, 1)) << worker.printed();
  for (std::size_t i = 0; i < 4; ++i) {
    w.way.cut_after(30 + 60 * i); // In the head, then in the body.
    ASSERT_TRUE(eventually([&] { return w.way.cuts() == i + 1; })) << worker.printed();
  }
  const auto ended = w.end_of(prompt_run(w, "one two"));
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker.printed();
}

// Goal: a server that stands still for a while has all of what was said meanwhile afterwards, once,
// although it is more than it takes at a time.
TEST(worker_wires, a_slow_server_gets_everything) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  const auto run =
      w.begin_remote(R"([["gated","a","go"],["repeat",80,["say","x",100000]],["step","b"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 1; })) << worker->printed();
  w.server.signal(SIGSTOP);
  w.open_gate("go");
  w.server.signal(SIGCONT);
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["attempt"], "1");
  EXPECT_EQ(w.events_of("run.message_emitted", run), 80);
  EXPECT_EQ(w.events_of("queue.lease_granted", w.queue), 1);
}

// Goal: with a list of servers the worker goes to the next one when one is gone, in the middle of a
// run and at the start.
TEST(worker_wires, the_next_server_of_the_list_is_tried) {
  worker_world w;
  ASSERT_TRUE(w.start());
  test::relay nowhere, other;
  other.target(w.server.port());
  const auto url = [](const test::relay& to) {
    return "http://127.0.0.1:" + std::to_string(to.port());
  };
  auto worker = w.work({}, {}, url(nowhere) + ',' + w.url() + ',' + url(other));
  const auto run = w.begin_remote(R"([["step","a"],["gated","b","open"],["step","c"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 2; })) << worker->printed();
  EXPECT_NE(worker->printed().find("on " + w.url()), std::string::npos) << worker->printed();
  w.way.target(0);
  w.way.cut();
  ASSERT_TRUE(eventually([&] {
    return worker->printed().find("on " + url(other)) != std::string::npos;
  })) << worker->printed();
  w.open_gate("open");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["attempt"], "1");
}

// Goal: a second signal ends a worker that drains, at once and with a code of its own; its run goes
// on elsewhere.
TEST(worker_wires, a_second_signal_ends_the_drain) {
  worker_world w{{"--workers.lease", "2s"}};
  ASSERT_TRUE(w.start());
  auto first = w.work();
  const auto run = w.begin_remote(R"([["gated","a","open"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 1; })) << first->printed();
  first->signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return first->printed().find("draining") != std::string::npos; }));
  first->signal(SIGTERM);
  const auto end = first->await_end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 1) << first->printed();
  w.open_gate("open");
  auto second = w.work();
  EXPECT_EQ(w.end_of(run)["status"], "succeeded") << second->printed();
  auto asking = w.client();
  const auto gone = where(json_elements(asking.get("/api/v1/workers").body), "status", "gone");
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(json_at(gone[0], "last_reason"), "silent");
}

struct freeing {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};

/// Writes a key and a certificate of 127.0.0.1 that it signed itself.
void make_certificate_of_loopback(const std::string& certificate, const std::string& key) {
  const std::unique_ptr<EVP_PKEY, freeing> pair{EVP_EC_gen("P-256")};
  const std::unique_ptr<X509, freeing> made{X509_new()};
  X509_set_version(made.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), pair.get());
  X509_NAME* name = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  const std::unique_ptr<X509_EXTENSION, freeing> where{
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1")};
  X509_add_ext(made.get(), where.get(), -1);
  X509_sign(made.get(), pair.get(), EVP_sha256());
  FILE* file = std::fopen(certificate.c_str(), "w");
  ASSERT_NE(file, nullptr);
  PEM_write_X509(file, made.get());
  std::fclose(file);
  file = std::fopen(key.c_str(), "w");
  ASSERT_NE(file, nullptr);
  PEM_write_PrivateKey(file, pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
}

// Goal: over TLS everything is as without it, uploads too; a server that the worker has no reason
// to trust gets nothing.
TEST(worker_wires, tls_carries_a_run) {
  worker_world w;
  ASSERT_TRUE(w.start());
  const auto certificate = w.folder / "certificate.pem", key = w.folder / "key.pem";
  make_certificate_of_loopback(certificate, key);
  const auto run =
      w.begin_remote(R"([["step","a"],["artifact","a.txt","made there","text/plain"]])");
  ASSERT_TRUE(w.server.stop());
  auto& flags = w.server.options().flags;
  flags.insert(flags.end(), {"--http.tls.certificate", certificate, "--http.tls.key", key});
  w.server.launch();
  ASSERT_TRUE(w.server.await_port()) << w.server.why();
  const auto url = "https://127.0.0.1:" + std::to_string(w.server.port());
  auto doubting = w.work({}, {}, url);
  ASSERT_TRUE(eventually([&] {
    return doubting->printed().find("certificate verify failed") != std::string::npos;
  })) << doubting->printed();
  EXPECT_EQ(w.events_of("queue.worker_joined", w.queue), 0);
  doubting->kill();
  auto worker = w.work({}, {}, url, {{"SSL_CERT_FILE", certificate}});
  EXPECT_TRUE(w.await_events("run.succeeded", run, 1)) << worker->printed() << w.server.why();
  EXPECT_EQ(w.events_of("run.artifact_published", run), 1);
}

} // namespace
} // namespace runledger::contract
