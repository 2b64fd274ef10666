#include "actors/importer_actor.hpp"

#include "actors/harness/artifact.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <filesystem>

namespace runledger {

namespace {

constexpr std::uint64_t artifact_bytes_max = 4ULL << 30;

/// Fills blob or problem.
void import(services& s, const take_artifact_mail& ask, artifact_taken& out) {
  auto file = harness::take_artifact(ask.work_dir, ask.frame->path, artifact_bytes_max);
  if (!file) {
    out.problem = file.error().message;
    return;
  }
  auto blob = s.blobs.put_file(file->fd(), artifact_bytes_max);
  if (blob)
    out.blob = *blob;
  else
    out.problem = "The artifact `" + ask.frame->path + "` could not be stored.";
}

importer_actor::behavior_type importer_behavior(importer_actor::pointer, services_ptr s) {
  return {[s](const take_artifact_mail& ask) {
            artifact_taken taken;
            taken.attempt = ask.attempt;
            taken.frame = ask.frame;
            import(*s, ask, taken);
            run_mail mail;
            mail.session = ask.session;
            mail.workspace = ask.workspace;
            mail.body = std::move(taken);
            caf::anon_send(ask.by, std::move(mail));
          },
          [](const remove_folder& ask) {
            std::error_code ignored;
            std::filesystem::remove_all(ask.path, ignored);
          }};
}

} // namespace

importer_actor spawn_importer(caf::actor_system& sys, services_ptr s) {
  if (s->settings.importer_thread)
    return sys.spawn<caf::detached>(importer_behavior, std::move(s));
  return sys.spawn(importer_behavior, std::move(s));
}

} // namespace runledger
