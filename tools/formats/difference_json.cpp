// SPDX-License-Identifier: Apache-2.0
// A comparison for programs, schema "seep.diff/1". Keys are only ever added.
//
//   quantity                 leaked, live, allocated: what is compared
//   confidence               of all that is told from samples, together
//   problems[]               what could not be read whole
//   before_bytes, before_blocks, after_bytes, after_blocks, change_bytes, change_blocks
//                            of all sites; estimates have their _interval beside them
//   new, grown, shrunk, gone, same   how many sites
//   sites[]                  direction, fingerprint, the same six figures, frames as in the report
#include <nlohmann/json.hpp>

#include "formats/difference_report.h"
#include "formats/format.h"
#include "formats/json_parts.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

using nlohmann::ordered_json;

template <typename Changed>
void put_change(ordered_json& object, const BlocksAndBytes& before, const BlocksAndBytes& after,
                const Changed& changed) {
  put(object, "before", before);
  put(object, "after", after);
  put(object, "change_bytes", changed.bytes);
  put(object, "change_blocks", changed.blocks);
}

ordered_json site_json(const SiteDifference& site) {
  ordered_json object;
  object["direction"] = site.direction == Direction::kSame ? "same" : word(site.direction);
  object["fingerprint"] = fingerprint_text(site.site().fingerprint);
  put_change(object, site.amount_before, site.amount_after, site);
  object["frames"] = frames_json(site.site().frames(), site.site().runtime_frames);
  return object;
}

}  // namespace

void write_difference_json(const DifferenceReport& report, const ReportOptions&, std::string& output) {
  const Difference& difference = report.difference;
  ordered_json object;
  object["schema"] = "seep.diff/1";
  object["quantity"] = word(difference.quantity);
  object["confidence"] = difference.confidence;
  object["problems"] = report.problems;
  put_change(object, difference.before, difference.after, difference);
  for (const Direction direction : {Direction::kNew, Direction::kGrown, Direction::kShrunk, Direction::kGone}) {
    object[word(direction)] = difference.count(direction);
  }
  object["same"] = difference.count(Direction::kSame);
  object["sites"] = ordered_json::array();
  for (const SiteDifference& site : difference.sites) object["sites"].push_back(site_json(site));
  output += dumped(object, 2) + "\n";
}

}  // namespace seep
