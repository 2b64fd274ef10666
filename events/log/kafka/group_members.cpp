#include "events/log/kafka/group_members.hpp"

#include <librdkafka/rdkafka.h>

#include <memory>

namespace runledger::kafka {

std::string owners_group(const std::string& prefix) {
  return prefix + ".owners";
}

result<std::size_t, error> members_of_group(const cluster& with, const std::string& name,
                                            std::chrono::milliseconds timeout) {
  auto asker = consumer::open(with);
  if (!asker)
    return asker.error();
  const rd_kafka_group_list* raw = nullptr;
  const auto code =
      rd_kafka_list_groups((*asker)->raw(), name.c_str(), &raw, static_cast<int>(timeout.count()));
  const std::unique_ptr<const rd_kafka_group_list, decltype(&rd_kafka_group_list_destroy)> found{
      raw, rd_kafka_group_list_destroy};
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return error{code, false, rd_kafka_err2str(code)};
  std::size_t out = 0;
  for (int i = 0; i < found->group_cnt; ++i)
    if (name == found->groups[i].group)
      out += static_cast<std::size_t>(found->groups[i].member_cnt);
  return {boost::system::in_place_value, out};
}

} // namespace runledger::kafka
