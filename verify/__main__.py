"""The verify stage: python -m verify [BUNDLE ...]; without a BUNDLE, every bundle of artifacts/.

Each bundle is read from disk and run in every runtime that is installed here. The exit status is
the verdict.
"""

import sys

import portproof


def main() -> int:
    """Verify; returns the exit status.

    0 proven; 1 wrong or failed; 2 wrong usage; 3 something requested could not be checked; 130
    interrupted by Ctrl-C.
    """
    try:
        report = portproof.verify(*sys.argv[1:])
    except portproof.PortproofError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    portproof.print_report(report)
    return report.exit_status


if __name__ == "__main__":
    sys.exit(main())
