import { describe, expect, it } from "vitest";
import { parseMarkdown, unwrapped } from "./markdown";

describe("Markdown", () => {
  it("has headings, paragraphs, lists and code", () => {
    const blocks = parseMarkdown("# One\n\nA line\nand another.\n\n- a\n  goes on\n- b\n\n2. two\n3. three\n\n```go\nx := `y`\n\n# no heading\n```\nEnd");
    expect(blocks.map((b) => b.kind)).toEqual(["heading", "paragraph", "list", "list", "code", "paragraph"]);
    expect(blocks[1]).toEqual({ kind: "paragraph", inline: [{ kind: "text", text: "A line and another." }] });
    expect(blocks[2]).toMatchObject({ ordered: false, items: [[{ text: "a goes on" }], [{ text: "b" }]] });
    expect(blocks[3]).toMatchObject({ ordered: true, start: 2, items: [[{ text: "two" }], [{ text: "three" }]] });
    expect(blocks[4]).toEqual({ kind: "code", text: "x := `y`\n\n# no heading" });
  });

  it("has marks within a line", () => {
    const [block] = parseMarkdown("Ask `{ name = \"a*b*\" }`, **really**, *now*, at [Explore](/explore?a=1).");
    expect(block).toMatchObject({ inline: [{ text: "Ask " }, { kind: "code", text: '{ name = "a*b*" }' }, { text: ", " }, { kind: "strong", text: "really" }, { text: ", " }, { kind: "em", text: "now" }, { text: ", at " }, { kind: "link", href: "/explore?a=1" }, { text: "." }] });
  });

  it("makes no link that could run something, and no HTML", () => {
    for (const href of ["javascript:alert(1)", "//evil.example/", "data:text/html,x"]) expect(JSON.stringify(parseMarkdown(`[x](${href})`))).not.toContain("link");
    expect(parseMarkdown("<b>bold</b>")).toEqual([{ kind: "paragraph", inline: [{ kind: "text", text: "<b>bold</b>" }] }]);
  });

  it("puts broken lines together again, but not what is indented", () => {
    expect(unwrapped("Two requests\nwent out.\n\nRun this:\n\n  a b\n  c\n\nThe\nend.\n")).toBe("Two requests went out.\n\nRun this:\n\n  a b\n  c\n\nThe end.");
    expect(unwrapped("a\nb\n  c\nd")).toBe("a b\n  c\nd");
  });

  it("ends with every text", () => {
    for (const text of ["", "```", "``` \n", "- ", "1. a\n- b", "**", "`", "[a](", "#", "* \n* a\n\n\n", "~~~\n```\n"]) expect(Array.isArray(parseMarkdown(text))).toBe(true);
  });
});
