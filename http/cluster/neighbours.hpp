#pragma once

#include "actors/peers.hpp"
#include "http/cluster/forwarder.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace runledger::http {

/// This node's ways to the others of its cluster: requests that are forwarded, commands between
/// entities, keys, raw logs. HTTP thread only, but for what is said of runledger::peers.
class neighbours final : public peers {
public:
  /// Calls back once this node has read all that was in the ledger when it was asked; false: that
  /// cannot be told now. Any thread.
  using barrier = std::function<void(std::function<void(bool)>)>;

  /// `io` and the membership outlive it. `certificates`: see node_client.
  neighbours(net::io_context& io, const cluster& with, barrier reads,
             const std::string& certificates = {});

  forwarder& relay() { return forwarder_; }
  membership& members() const { return with_.members; }
  const cluster_trust& trust() const { return trust_; }
  net::ssl::context& tls() { return client_.tls(); }

  void send(std::uint32_t partition, peer_command what, answer<peer_done> to) override;
  void when_current(std::function<void(bool)> then) override;

  /// Has the others load their keys anew, up to what is in the ledger now, and calls `then`.
  /// `insist`: every live member has done it by then, however often it has to be asked, as long as
  /// `wanted` says so; otherwise each is asked once.
  void refresh_keys(bool insist, std::function<bool()> wanted, std::function<void()> then);

  /// What was written of a run's raw log where it was executed.
  struct raw_log {
    unique_fd file; ///< None: nobody has any...
    std::uint64_t size = 0;
    std::int64_t began_ms = 0; ///< Since 1970.
    bool unreachable = false;  ///< ...or somebody could not be asked.
  };
  /// The whole of it: this node's part, if there is one, and those of the others, in the order in
  /// which they were begun. What others have is copied into new files without a name in `folder`.
  void fetch_raw_log(const std::string& run, const std::string& folder, raw_log here,
                     std::function<void(raw_log)> then);

  /// Before the engine and `io` end: what is under way is told that it is lost.
  void stop();

private:
  class waiting_reads;
  struct key_round;
  struct log_search;
  void send_here(std::uint32_t partition, const peer_command& what, const answer<peer_done>& to);
  void await_look(const std::shared_ptr<key_round>& round);
  void ask_for_keys(const std::shared_ptr<key_round>& round);
  void ask_for_keys_of(const std::shared_ptr<key_round>& round, const std::string& address);
  static raw_log joined(std::vector<raw_log>& parts, const std::string& folder);
  void search_on(const std::shared_ptr<log_search>& search);
  void end_part(const std::shared_ptr<log_search>& search, bool whole);
  void read_piece(const std::shared_ptr<log_search>& search);

  net::io_context& io_;
  const cluster with_;
  const cluster_trust trust_;
  node_client client_;
  forwarder forwarder_;
  const barrier barrier_;
  const std::shared_ptr<waiting_reads> reads_;
};

} // namespace runledger::http
