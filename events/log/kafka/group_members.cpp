#include "events/log/kafka/group_members.hpp"

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string_view>

namespace runledger::kafka {

result<std::size_t, error> members_of_groups(const cluster& with, const std::string& prefix,
                                             std::chrono::milliseconds timeout) {
  auto asker = consumer::open(with);
  if (!asker)
    return asker.error();
  const rd_kafka_group_list* raw = nullptr;
  const auto code =
      rd_kafka_list_groups((*asker)->raw(), nullptr, &raw, static_cast<int>(timeout.count()));
  const std::unique_ptr<const rd_kafka_group_list, decltype(&rd_kafka_group_list_destroy)> found{
      raw, rd_kafka_group_list_destroy};
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return error{code, false, rd_kafka_err2str(code)};
  std::size_t out = 0;
  for (int i = 0; i < found->group_cnt; ++i)
    if (std::string_view{found->groups[i].group}.starts_with(prefix + '.'))
      out += static_cast<std::size_t>(found->groups[i].member_cnt);
  return {boost::system::in_place_value, out};
}

} // namespace runledger::kafka
