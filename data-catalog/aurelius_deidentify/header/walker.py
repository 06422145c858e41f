"""The walk over a data set: each element is met once, and only what the profile lets through is written."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydicom.dataelem import RawDataElement

from aurelius_deidentify.header.actions import ACTIONS
from aurelius_deidentify.header.attribute import Attribute, SequenceItems
from aurelius_deidentify.header.content import choose_child_mode, choose_mode, find_rule
from aurelius_deidentify.header.context import Context, read_nested
from aurelius_deidentify.header.element_encoding import write_element, write_item
from aurelius_deidentify.header.elements import PIXELS, Found, split_items
from aurelius_deidentify.header.heads import Head
from aurelius_deidentify.header.identifiers import identifying_values
from aurelius_deidentify.header.json_values import make_fragment
from aurelius_deidentify.header.outcome_cache import OUTCOME_BYTES, ElementOutcome, OutcomeCache
from aurelius_deidentify.header.profile import REMOVE, Rule
from aurelius_deidentify.header.values import CODES, TEXT, decode_text

#: VRs whose values identify even in unknown attributes.
IDENTIFYING_VRS = frozenset({"DA", "DT", "PN", "SQ", "UI"})
#: A private creator met in a data set: its name, its head, where its outcome stands, what is known of its attributes.
Creator = tuple[str, Head, int, dict[bytes | Head, ElementOutcome]]


class ElementWalker:
    """Turns elements of one context into outcomes, remembers them, and collects the identifiers it takes out.

    Parameters
    ----------
    context
        Whose object it is.
    identifiers
        Where the original identifying values are collected.
    uids
        Where original UIDs are collected with their new ones.
    """

    def __init__(self, context: Context, identifiers: set[str], uids: dict[str, str]) -> None:
        self.context = context
        self.identifiers = identifiers
        self.uids = uids
        self.kept_creators: dict[tuple[Head, str], ElementOutcome] = {}

    def walk_elements(self, data: bytes, found: list[Found], mode: str, implicit: bool) -> list[ElementOutcome]:
        """Return the outcomes of the elements of a data set or item, in their order.

        Parameters
        ----------
        data, found
            The bytes they stand in, and where.
        mode
            How to look at them; see `aurelius_deidentify.header.content.choose_mode`.
        implicit
            Whether their VRs are implicit.
        """
        caches = self.context.caches
        cache = caches.get((mode, implicit))
        if cache is None:
            cache = caches[mode, implicit] = OutcomeCache()
        known = cache.public
        outcomes: list[ElementOutcome] = []
        creators: dict[int, Creator] = {}
        for one in found:
            head, start, _, _, end = one
            if head.is_private:
                # Most private elements go whatever their value is.
                creator = creators.get(head.block)
                outcome = creator[3].get(head) if creator is not None else None
                if outcome is None:
                    outcome = self._walk_private(data, one, mode, implicit, cache, creators, outcomes)
                outcomes.append(outcome)
                continue
            raw = data[start:end]
            outcome = known.get(raw)
            if outcome is None:
                rule = REMOVE if head.tag in PIXELS else find_rule(self.context.profile, head.tag, mode)
                outcome = self._settle(data, one, rule, mode, implicit)
                cache.remember(known, raw, outcome)
            outcomes.append(outcome)
        return outcomes

    def walk_items(self, attribute: Attribute, mode: str | None = None) -> SequenceItems:
        """De-identify the items of a sequence; see `Walker`."""
        mode = mode or choose_child_mode(attribute.mode)
        data, implicit = attribute.value, attribute.implicit
        parts: list[bytes] = []
        fragments: list[dict[str, Any]] = []
        letters: list[str] = []
        counts: Counter[tuple[str, str]] = Counter()
        for item in split_items(data, 0, len(data), implicit):
            chosen = choose_mode(mode, data, item, implicit, self.context.profile)
            if chosen is None:
                if item:
                    self._note_nested(data, item[0][1] - 8, item[-1][4], implicit)
                counts[f"{attribute.tag:08X}", "X"] += 1
                letters.append("X")
                continue
            outcomes = self.walk_elements(data, item, chosen, implicit)
            parts.append(write_item(b"".join([outcome.output for outcome in outcomes])))
            fragments.append({outcome.key: outcome.fragment for outcome in outcomes if outcome.fragment is not None})
            for outcome in outcomes:
                letters.append(outcome.letters)
                for pair, number in outcome.counts:
                    counts[pair] += number
        return SequenceItems(b"".join(parts), fragments, "".join(letters), counts)

    def map_uid(self, uid: str) -> str:
        """Return the new UID for an original one, and note the pair."""
        new = self.uids.get(uid)
        if new is None:
            new = self.uids[uid] = self.context.key.map_uid(uid)
        return new

    def _walk_private(
        self,
        data: bytes,
        one: Found,
        mode: str,
        implicit: bool,
        cache: OutcomeCache,
        creators: dict[int, Creator],
        outcomes: list[ElementOutcome],
    ) -> ElementOutcome:
        """Return the outcome of a private element; its creator stays only if something of its block stays."""
        head, start, value, value_end, end = one
        if head.is_creator:
            creator = decode_text(data[value:value_end], "LO", self.context.encodings).strip()
            known = cache.private.setdefault(creator, {})
            creators[head.block] = (creator, head, len(outcomes), known)
        else:
            creator = creators[head.block][0] if head.block in creators else ""
            known = cache.private.setdefault(creator, {})
        outcome = known.get(head)
        if outcome is None:
            raw = data[start:end]
            outcome = known.get(raw)
            if outcome is None:
                rule = self._find_private(head, creator, mode)
                if rule is REMOVE and head.VR not in IDENTIFYING_VRS:
                    outcome = known[head] = ElementOutcome(head, "X")
                    cache.size_bytes += OUTCOME_BYTES
                else:
                    outcome = self._settle(data, one, rule, mode, implicit)
                    cache.remember(known, raw, outcome)
        if outcome.output:
            self._keep_creator(creators[head.block], outcomes)
        return outcome

    def _find_private(self, head: Head, creator: str, mode: str) -> Rule:
        if not creator or head.is_creator or not (mode == "walk" or mode.startswith("content:")):
            return REMOVE
        return self.context.profile.find_private((head.group, creator, head.tag & 0xFF), head.VR)

    def _keep_creator(self, found: Creator, outcomes: list[ElementOutcome]) -> None:
        creator, head, position, _ = found
        dropped = outcomes[position]
        if not dropped.output:
            kept = self.kept_creators.get((head, creator))
            if kept is None:
                kept = self._finish(head, "LO", creator.encode("ascii", "replace"), "K")
                kept.source = dropped.source
                self.kept_creators[head, creator] = kept
            outcomes[position] = kept

    def _settle(self, data: bytes, one: Found, rule: Rule, mode: str, implicit: bool) -> ElementOutcome:
        """Carry out the action for an element that is met for the first time."""
        head, _, start, end, _ = one
        value = data[start:end]
        VR, fits = self._choose_VR(head.VR, rule, implicit)
        attribute = Attribute(head.tag, VR, fits, value, implicit or head.VR == "UN", rule, mode)
        made = ACTIONS[rule.action](attribute, self)
        if made is None or made != value:
            self._note(attribute)
        outcome = ElementOutcome(head, rule.action) if made is None else self._finish(head, VR, made, rule.action)
        outcome.source = RawDataElement(head.base, head.VR or None, len(value), value, 0, implicit, True)
        return outcome

    def _finish(self, head: Head, VR: str, made: bytes | SequenceItems, action: str) -> ElementOutcome:
        tag, implicit = head.tag, self.context.implicit
        if isinstance(made, SequenceItems):
            fragment: dict[str, Any] | None = {"vr": "SQ", "Value": made.fragments}
            counts = Counter({(head.key, action): 1}) + made.counts
            content, letters, pairs = made.value, action + made.letters, tuple(counts.items())
        else:
            fragment = make_fragment(VR, made, self.context.encodings)
            content, letters, pairs = made, action, ()
        output = write_element(tag, VR, content, implicit)
        element = RawDataElement(head.base, VR, len(content), content, 0, implicit, True)
        return ElementOutcome(head, letters, output, fragment, element, pairs)

    def _choose_VR(self, found: str, rule: Rule, implicit: bool) -> tuple[str, bool]:
        """Return the VR to work with, and whether what was found is of a kind that PS3.6 allows."""
        known = rule.VR.split(" or ") if rule.VR else []
        if implicit and not found and len(known) > 1:
            return (("SS" if self.context.signed else "US") if known[:2] == ["US", "SS"] else known[-1]), True
        if found in ("UN", ""):
            return (known[0], True) if len(known) == 1 else ("UN", False)
        if not known or found in known or (found in TEXT and TEXT.issuperset(known)):
            return found, True
        return known[0], False

    def _note(self, attribute: Attribute) -> None:
        """Collect what identifies in an original value that does not stay as it was."""
        if attribute.VR == "SQ":
            if attribute.rule.action in ("X", "Z"):
                self._note_nested(attribute.value, 0, len(attribute.value), attribute.implicit)
        elif attribute.value and attribute.rule.keyword not in CODES:
            text = decode_text(attribute.value, attribute.VR, self.context.encodings)
            self.identifiers.update(identifying_values(attribute.rule.keyword, attribute.VR, text.split("\\")))

    def _note_nested(self, data: bytes, start: int, end: int, implicit: bool) -> None:
        for keyword, VR, text in read_nested(data, start, end, implicit, self.context.encodings):
            self.identifiers.update(identifying_values(keyword, VR, text.split("\\")))
