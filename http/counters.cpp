#include "http/counters.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace runledger::http {

void histogram::add(std::chrono::nanoseconds took) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)) / 1000;
  const auto bucket = std::lower_bound(bounds_us.begin(), bounds_us.end(), us) - bounds_us.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum_us += us;
}

counters::counters(std::span<const route> table) : table_(table), by_route_(table.size() + 1) {
  for (const route& each : table) {
    const std::string_view name = each.group.empty() ? "other" : each.group;
    const auto at = std::find(groups_.begin(), groups_.end(), name);
    group_of_route_.push_back(static_cast<std::size_t>(at - groups_.begin()));
    if (at == groups_.end())
      groups_.push_back(name);
  }
  latencies_.resize(groups_.size());
}

std::size_t counters::index_of(const route* which) const {
  return which == nullptr ? table_.size() : static_cast<std::size_t>(which - table_.data());
}

void counters::answered(const route* which, http::status code) {
  const auto kind = static_cast<unsigned>(code) / 100;
  ++by_route_[index_of(which)][kind <= 5 ? kind : 0];
}

void counters::timed(const route* which, std::chrono::nanoseconds took) {
  if (which != nullptr)
    latencies_[group_of_route_[index_of(which)]].add(took);
}

std::span<const std::uint64_t> counters::of_route(const route* which) const {
  return by_route_[index_of(which)];
}

void counters::write_prometheus(std::string& out) const {
  auto to = std::back_inserter(out);
  auto single = [&](std::string_view name, std::string_view kind, std::uint64_t value) {
    fmt::format_to(to, "# TYPE runledger_http_{0} {1}\nrunledger_http_{0} {2}\n", name, kind,
                   value);
  };
  single("connections_open", "gauge", connections_open);
  single("connections_accepted_total", "counter", connections_accepted);
  single("connections_refused_total", "counter", refused_over_total);
  single("connections_refused_per_address_total", "counter", refused_over_address);
  single("connections_dropped_total", "counter", dropped_over_limit);
  single("accept_errors_total", "counter", accept_errors);
  single("framing_errors_total", "counter", framing_errors);
  single("deadlines_passed_total", "counter", deadlines_passed);
  single("abandoned_total", "counter", abandoned);
  single("dropped_replies_total", "counter", dropped);
  single("streams_open", "gauge", streams_open);
  single("streams_overrun_total", "counter", streams_overrun);
  single("received_bytes_total", "counter", bytes_in);
  single("sent_bytes_total", "counter", bytes_out);
  out += "# TYPE runledger_http_requests_total counter\n";
  for (std::size_t i = 0; i < by_route_.size(); ++i)
    for (unsigned kind = 1; kind <= 5; ++kind)
      if (by_route_[i][kind] != 0)
        fmt::format_to(
            to, "runledger_http_requests_total{{method=\"{}\",route=\"{}\",status=\"{}xx\"}} {}\n",
            i < table_.size() ? name_of(table_[i].method) : "none",
            i < table_.size() ? table_[i].pattern : "none", kind, by_route_[i][kind]);
  out += "# TYPE runledger_http_request_seconds histogram\n";
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    std::uint64_t below = 0;
    for (std::size_t b = 0; b < histogram::bounds_us.size(); ++b) {
      below += latencies_[g].counts[b];
      fmt::format_to(to, "runledger_http_request_seconds_bucket{{group=\"{}\",le=\"{}\"}} {}\n",
                     groups_[g], static_cast<double>(histogram::bounds_us[b]) / 1e6, below);
    }
    below += latencies_[g].counts.back();
    fmt::format_to(to, "runledger_http_request_seconds_bucket{{group=\"{}\",le=\"+Inf\"}} {}\n",
                   groups_[g], below);
    fmt::format_to(to, "runledger_http_request_seconds_sum{{group=\"{}\"}} {}\n", groups_[g],
                   static_cast<double>(latencies_[g].sum_us) / 1e6);
    fmt::format_to(to, "runledger_http_request_seconds_count{{group=\"{}\"}} {}\n", groups_[g],
                   below);
  }
}

} // namespace runledger::http
