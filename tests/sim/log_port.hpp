#pragma once

#include "events/log/memory_log.hpp"
#include "tests/support/seeds.hpp"

#include <deque>

namespace runledger::sim {

/// How an append that was held ends.
enum class append_end : std::uint8_t {
  accepted,    ///< Written, and the server hears of it.
  duplicated,  ///< As accepted, but the partition holds it twice.
  unavailable, ///< Nothing is written, and the server hears that.
  lost,        ///< Nothing is written, and the server hears nothing certain.
  landed,      ///< All is written, and the server hears nothing certain.
  cut,         ///< A prefix of each request is written, and the server hears nothing certain.
};
std::string_view to_string(append_end end);

/// One server's connection to the ledger that all servers share. Appends can be held and ended one
/// by one; a server that died is cut off, and what it had under way can still arrive. One thread.
class log_port final : public event_log {
public:
  explicit log_port(memory_log& disk) : disk_(disk) {}

  void append(std::vector<append_request> group, completion done) override;
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const override {
    auto out = disk_.read_stream(stream, from_seq, limit);
    records_read_ += out ? out->size() : 0;
    return out;
  }
  result<std::vector<record_ptr>, read_error>
  read_partition(std::uint32_t partition, std::int64_t from, std::size_t limit) const override {
    return disk_.read_partition(partition, from, limit);
  }
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const override {
    return disk_.head(stream);
  }
  std::span<const topic_partition> partition_names() const override {
    return disk_.partition_names();
  }
  partition_head partition_state(std::uint32_t p) const override {
    return disk_.partition_state(p);
  }
  std::int64_t end_offset(std::uint32_t p) const override { return disk_.end_offset(p); }
  void on_append(std::function<void()> listener) override { disk_.on_append(std::move(listener)); }
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t p, const stream_id& after, std::size_t limit) const override {
    return disk_.unfinished(p, after, limit);
  }
  std::optional<std::string> failed() const override { return disk_.failed(); }

  /// From now on appends wait for end_one.
  void hold(bool on) { holding_ = on; }
  std::size_t held() const { return held_.size(); }
  /// Ends the waiting group at `place`.
  void end_one(std::size_t place, append_end how, test::dice& dice);
  /// The server died: nothing that it still asks for happens. What waited is handed out.
  std::vector<std::vector<append_request>> cut_off();
  bool connected() const { return connected_; }
  /// Of streams, since the start.
  std::size_t records_read() const { return records_read_; }

private:
  struct held_group {
    std::vector<append_request> requests;
    completion done;
  };
  memory_log& disk_;
  std::deque<held_group> held_;
  bool holding_ = false, connected_ = true;
  mutable std::size_t records_read_ = 0;
};

} // namespace runledger::sim
